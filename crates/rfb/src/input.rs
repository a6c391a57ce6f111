//! The bytes that have arrived and are not yet understood.
