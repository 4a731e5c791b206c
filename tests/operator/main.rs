//! The operator on a real control plane, under its own user, never as admin.

#[path = "../bad_input/mod.rs"]
mod bad_input;
mod canary;
mod cert_manager;
mod chart;
mod claims;
mod conflicts;
mod crash;
mod databricks;
mod debounce;
mod deletion;
mod delivery;
mod endpoints;
mod everything;
mod faults;
mod fixtures;
mod hands;
mod harness;
mod histories;
#[path = "../histories/mod.rs"]
mod history;
mod installations;
mod kubectl;
mod leader;
mod network_policy;
mod orders;
mod provider;
mod providers;
mod reference;
mod references;
mod refusals;
mod replica;
mod restart;
mod rights;
mod rollout;
mod scopes;
mod secrets;
mod shop;
mod stale;
mod statements;
mod story;
mod verified;
mod webhook;
mod webhook_input;
mod webhook_load;
mod write_faults;
