"""What runs inside a Python sandbox: started as ``python3 -u -B <this folder> <folder with the socket>``.

Standard library only, and source that Python 3.9 takes: the sandbox's Python is the base image's, not the host's. All
modules live in the package ``faas_agent``, so that none of their names can be taken for a module of the user's.
"""
