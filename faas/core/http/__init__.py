"""HTTP as functions and peers meet it: paths, answers, header fields, hosts and addresses. Pure functions."""
