//! Timbr's identity integrations, declared: one engine behind the operator and the offline commands.
//!
//! Rooms, each of which may use only those above it: [`api`] (types, rules, problems, conditions),
//! [`compose`] (pure: a snapshot of an installation in, a plan out); with the feature `offline`
//! YAML, schemas and the commands that need no cluster; with `operator` the rooms that talk to one.

pub mod api;
pub mod compose;
