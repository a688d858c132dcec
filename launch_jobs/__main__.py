"""`python -m launch_jobs` is the `launch` command."""

from launch_jobs.cli import main

if __name__ == "__main__":
    main()
