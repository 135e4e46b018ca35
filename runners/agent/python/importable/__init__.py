"""What handlers may import besides their own code; last in the import path, so that their own modules win."""
