//! The state of the double: what it knows, what has arrived, and what statements did.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use http::request::Parts;
use serde_json::{Value, json};

use super::judge::{self, Call, Refusal};
use super::sql::Statement;
use super::{Fault, Group, Received, SYSTEM_ONTOLOGY};
use crate::fault::Faults;

/// Headers whose values are nobody's to see.
const CREDENTIALS: [&str; 3] = ["x-api-key", "x-jwt-token", "authorization"];

pub(super) struct World {
    pub(super) key: String,
    pub(super) jwt: Option<(String, Option<String>)>,
    pub(super) ontologies: BTreeSet<String>,
    pub(super) roles: BTreeSet<String>,
    pub(super) may_edit: bool,
    pub(super) answers: BTreeMap<String, Value>,
    pub(super) faults: Faults,
    pub(super) received: Vec<Received>,
    pub(super) executed: Vec<String>,
    pub(super) mappings: BTreeMap<String, Group>,
    pub(super) synced: Vec<String>,
    pub(super) violations: Vec<String>,
    /// What each further look at an asynchronous result shows.
    results: BTreeMap<String, VecDeque<Value>>,
}

impl World {
    pub(super) fn new(key: &str) -> Self {
        Self {
            key: key.to_owned(),
            jwt: None,
            ontologies: BTreeSet::from([SYSTEM_ONTOLOGY.to_owned()]),
            roles: BTreeSet::new(),
            may_edit: true,
            answers: BTreeMap::new(),
            faults: Faults::default(),
            received: Vec::new(),
            executed: Vec::new(),
            mappings: BTreeMap::new(),
            synced: Vec::new(),
            violations: Vec::new(),
            results: BTreeMap::new(),
        }
    }

    /// Numbers a request whose head has arrived, and says what goes wrong with it.
    pub(super) fn arrive(&mut self, head: &Parts) -> (usize, Option<Fault>) {
        let nth = self.received.len() + 1;
        let shown = |name: &str, value: &[u8]| match name {
            name if CREDENTIALS.contains(&name) => "<redacted>".to_owned(),
            _ => String::from_utf8_lossy(value).into_owned(),
        };
        let headers =
            head.headers.iter().map(|(name, value)| (name.to_string(), shown(name.as_str(), value.as_bytes())));
        self.received.push(Received {
            nth,
            at: Instant::now(),
            method: head.method.to_string(),
            uri: head.uri.to_string(),
            headers: headers.collect(),
            ontology: String::new(),
            sql: String::new(),
            executed: false,
        });
        (nth, self.faults.meet(nth))
    }

    /// Judges a request that is there as a whole, and keeps what was wrong with it.
    pub(super) fn judge(&mut self, nth: usize, head: &Parts, body: &[u8]) -> Result<Call, Refusal> {
        self.received[nth - 1].sql = String::from_utf8_lossy(body).into_owned();
        let judged = judge::judge(self, head, body);
        match &judged {
            Ok(Call::Query { ontology, .. }) => self.received[nth - 1].ontology.clone_from(ontology),
            Ok(_) => {}
            Err((_, text)) => self.violations.push(format!("request {nth}: {text}")),
        }
        judged
    }

    /// Does what a sound request asks for; the answer's status and JSON.
    pub(super) fn execute(&mut self, nth: usize, call: Call) -> Result<(u16, Value), Refusal> {
        match call {
            // As the documentation shows it: not an array, unlike a query's answer.
            Call::Ontologies => Ok((200, json!({"data": self.ontologies, "status": "success"}))),
            Call::Result { id } => {
                let next = self.results.get_mut(&id).and_then(VecDeque::pop_front);
                next.map(|result| (200, result)).ok_or_else(|| (404, format!("no result {id}")))
            }
            Call::Query { ontology, statement, asynchronous } => {
                let rows = self.query(nth, &ontology, statement);
                if !asynchronous {
                    return rows.map(|rows| (200, rows));
                }
                let id = format!("response-{nth}");
                let message = "Query is still running";
                let running = json!({"status": "running", "response_id": id, "message": message});
                let result = match rows {
                    Ok(rows) => json!({"status": "completed", "response": rows, "original_status_code": 200}),
                    Err((_, text)) => json!({"status": "error", "error": text, "error_type": "QueryError"}),
                };
                // Once fetched, a result is gone.
                self.results.insert(id, VecDeque::from([running.clone(), result]));
                Ok((202, running))
            }
        }
    }

    fn query(&mut self, nth: usize, ontology: &str, statement: Statement) -> Result<Value, Refusal> {
        if !self.ontologies.contains(ontology) {
            return Err((500, format!("Unknown database '{ontology}'")));
        }
        let sql = self.received[nth - 1].sql.clone();
        let rows = match statement {
            Statement::Map { role, group } => {
                self.may_edit_role(&role)?;
                self.mappings.insert(role, group);
                json!([])
            }
            Statement::Sync { role } => {
                self.may_edit_role(&role)?;
                self.synced.push(role);
                json!([])
            }
            Statement::Other => self.answers.get(&sql).cloned().unwrap_or_else(|| json!([])),
        };
        self.received[nth - 1].executed = true;
        self.executed.push(sql);
        Ok(rows)
    }

    fn may_edit_role(&self, role: &str) -> Result<(), Refusal> {
        if !self.may_edit {
            return Err((500, format!("Access denied: no EDIT permission on role '{role}'")));
        }
        if !self.roles.contains(role) {
            return Err((500, format!("Role '{role}' does not exist")));
        }
        Ok(())
    }
}
