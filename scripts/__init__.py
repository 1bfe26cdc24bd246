"""What a finished run is used for: each module is a script that `config.train` can name, by way of util_scripts.py."""
