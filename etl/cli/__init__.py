"""The command line: parse, call one verb of the pipeline, print its report, exit with its code."""
