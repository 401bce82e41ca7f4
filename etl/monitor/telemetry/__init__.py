"""OpenTelemetry: what a command did as one trace and a few metrics, where the standard variables ask for it."""
