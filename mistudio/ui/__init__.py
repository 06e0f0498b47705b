"""What the pages share; beside app.py and pages/ the only place that imports streamlit."""
