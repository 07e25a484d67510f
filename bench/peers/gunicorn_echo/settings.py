"""Stock settings, except those without which it would be measured at something else."""

worker_class = "gevent"
workers = 1  # one worker, as everybody here
keepalive = 75  # the default of 2 s is for browsers; producers keep their connections
worker_connections = 2000
accesslog = None  # the default too: no line for each request
control_socket_disable = True  # it would be shared by everything this user runs
