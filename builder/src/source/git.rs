//! Commits of git repositories.
