//! `luni`: reproducible builds and images of tiny operating systems.

fn main() {}
