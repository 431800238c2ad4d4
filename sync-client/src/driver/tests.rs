//! A device against a server that answers by script: what the driver makes of each answer.
