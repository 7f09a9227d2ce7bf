"""Where bytes come from and go to: addresses, taken apart in one place. Imports nothing of the
project but how text is shown."""
