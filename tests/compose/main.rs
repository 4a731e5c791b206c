//! The engine by its public interface: tables of cases, and properties that hold for every snapshot.
//! No cluster, no runtime, no clock.

#[path = "../bad_input/mod.rs"]
mod bad_input;
#[path = "../histories/mod.rs"]
mod history;

mod age;
mod beside;
mod both_or_none;
mod checks;
mod conditions;
mod correspondence;
mod details;
mod elsewhere;
mod event;
mod expiry;
mod failures;
mod fixed_point;
mod fixtures;
mod gate;
mod guards;
mod hands;
mod histories;
mod installations;
mod kinds;
mod last_good;
mod needs;
mod network_policy;
mod order;
mod past_the_schema;
mod patches;
mod principal;
mod providers;
mod random;
mod record;
mod reference;
mod references;
mod retain;
mod safety;
mod statements;
mod tenants;
mod world;
