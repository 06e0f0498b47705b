"""Runs whose questions leave as files and whose answers come back as files, in the format of OpenAI's Batch API."""
