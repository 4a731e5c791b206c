//! The kit's own tests, in one binary, so that one shared control plane serves them.

extern crate timbr_identity_testkit as testkit;

mod audit;
mod azure;
mod http;
mod objects;
mod proxy;
mod replica;
mod restarts;
mod rollout;
mod supervisor;
mod timbr_api;
