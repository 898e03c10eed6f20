"""Many files: pictures by the thousand or the million, answered into a table, on one machine or many: `mien batch`."""
