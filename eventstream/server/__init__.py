"""The gunicorn worker and its life: sockets handed over, generations, drain."""
