"""What holds for any package whatsoever."""
