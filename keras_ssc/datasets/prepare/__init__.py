"""Images on this machine, written in the form that tensorflow-datasets reads."""
