//! Both halves, the HTTP API and the relay, on real networks: in the network lab, against the real
//! service with a certificate of a private CA. Each end is a process of its own on its machine, so
//! that name server, hosts file and environment are that machine's.

#![allow(clippy::unwrap_used, reason = "tests")]

mod causes;
mod contacts;
mod end;
mod paths;
mod world;
