"""The words of the platform, its errors and its settings."""
