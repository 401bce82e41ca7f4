"""What is asked of the account before anything is sent: permissions, revision, lists, opt-outs."""
