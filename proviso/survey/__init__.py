"""Looks at data that no contract describes yet, and drafts a project for it (`init --from`)."""
