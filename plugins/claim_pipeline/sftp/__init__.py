"""The SFTP door: each facility sees its own inbox and outbox and nothing else. Heavy parts are loaded by who serves."""
