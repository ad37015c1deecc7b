//! The parts together, on real packages and against independent tools.
