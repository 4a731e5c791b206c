//! Timbr's identity integrations, declared: one engine behind the operator and the offline commands.
//!
//! Rooms, each of which may use only those above it: [`api`] (types, rules, problems, conditions),
//! [`policy`] (pure: who may use a component of Timbr), [`compose`] (pure: a snapshot of an installation in, a plan
//! out); with the feature `offline`
//! YAML, schemas and the commands that need no cluster; with `operator` the rooms that talk to one.

#[cfg(feature = "operator")]
pub mod admission;
pub mod api;
#[cfg(feature = "operator")]
mod apply;
#[cfg(feature = "operator")]
pub mod chart;
#[cfg(feature = "offline")]
pub mod cli;
pub mod compose;
#[cfg(feature = "operator")]
mod controller;
#[cfg(feature = "operator")]
mod http;
#[cfg(feature = "operator")]
mod metrics;
#[cfg(feature = "offline")]
pub mod offline;
#[cfg(feature = "operator")]
mod operator;
pub mod policy;
#[cfg(feature = "operator")]
pub mod rights;
#[cfg(feature = "offline")]
mod table;
#[cfg(feature = "operator")]
pub mod verify;
#[cfg(feature = "operator")]
mod world;
#[cfg(feature = "offline")]
pub mod yaml;
