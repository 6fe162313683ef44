"""The sets that `fanin.lab.load` knows by name: where each comes from, how it is read, split and normalised."""
