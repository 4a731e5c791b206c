//! Which statements Timbr is to run for a RoleGroupSync, and when: pure, from what was asked for, what
//! the status recorded, and the answers that have come.
//!
//! Timbr has no way to read a mapping back, so the record is the status. A statement is recorded as
//! Pending, with its hash, before it is sent: whoever takes over knows that it may have arrived. It is
//! sent at least once and at most [`MOST_SENDS`] times; one is on its way at a time.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};

use crate::api::{
    Code, Group, MappingState, MappingStatus, OrphanedMapping, Problem, RoleGroupSyncSpec, RoleGroupSyncStatus,
    RoleMapping, SyncResult, SyncStatus, foreign,
};

use super::sql::{Sql, SqlAccess, SqlTarget};

/// Most sends of one statement.
pub const MOST_SENDS: u32 = 4;
/// Waits after the first, second and third send of a statement that Timbr refused or did not answer.
const WAITS: [SignedDuration; 3] =
    [SignedDuration::from_mins(1), SignedDuration::from_mins(5), SignedDuration::from_mins(30)];
/// First wait after Timbr's API could not be reached: nothing was sent, and nothing is counted. A
/// finished rollout does not mean that the API answers. It doubles,
const PATIENCE: SignedDuration = SignedDuration::from_secs(10);
/// up to this.
const MOST_PATIENCE: SignedDuration = SignedDuration::from_mins(5);
/// Why there is no answer, when it may have come to a predecessor.
const NOBODY_HEARD: &str = "the operator ended before the answer came";
/// Most orphaned mappings that are remembered.
const MOST_ORPHANS: usize = 256;
/// Most answers that are remembered of an installation; the oldest are forgotten first.
const MOST_ANSWERS: usize = 2048;

/// One statement to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which send of which statement it is: the answer comes under this name.
    pub id: String,
    /// `Kind/name` of the resource whose status records it: it is not sent before that is written.
    pub owner: String,
    /// The SQL.
    pub text: String,
    /// Where it goes.
    pub target: SqlTarget,
}

/// What came of sending a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Timbr ran it.
    Done,
    /// Timbr refused it; its words.
    Refused(String),
    /// It was sent, and there is no answer, or none that can be read; says why.
    Lost(String),
    /// Timbr could not be reached, so it was not sent; says why.
    NotSent(String),
    /// It was not sent, as its record could not be written, or may not have been.
    Withheld,
}

/// What is known of statements that were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// The one on its way.
    pub on_its_way: Option<String>,
    /// Answers, and when they came.
    pub answers: BTreeMap<String, (Answer, Timestamp)>,
    /// How often in a row Timbr could not be reached.
    pub unreached: u32,
    /// When that was last.
    pub unreached_at: Option<Timestamp>,
}

impl Mail {
    /// Notes that a statement is about to be recorded. Until it is on its way it is withheld, whatever
    /// came of an earlier one of that name: a role may get the group again that it had before.
    pub fn announce(&mut self, id: &str, now: Timestamp) {
        self.insert(id.to_owned(), Answer::Withheld, now);
    }

    /// Notes that a statement is on its way.
    pub fn sent(&mut self, id: &str) {
        self.answers.remove(id);
        self.on_its_way = Some(id.to_owned());
    }

    /// Keeps the answer to the one that was on its way.
    pub fn keep(&mut self, id: String, answer: Answer, now: Timestamp) {
        self.on_its_way = None;
        (self.unreached, self.unreached_at) = match &answer {
            Answer::NotSent(_) => (self.unreached.saturating_add(1), Some(now)),
            _ => (0, None),
        };
        self.insert(id, answer, now);
    }

    fn insert(&mut self, id: String, answer: Answer, now: Timestamp) {
        self.answers.insert(id, (answer, now));
        if self.answers.len() > MOST_ANSWERS
            && let Some(oldest) = self.answers.iter().min_by_key(|(_, (_, at))| *at).map(|(id, _)| id.clone())
        {
            self.answers.remove(&oldest);
        }
    }

    /// How long to wait after Timbr could not be reached.
    fn patience(&self) -> SignedDuration {
        let doubled = 2i32.saturating_pow(self.unreached.saturating_sub(1));
        PATIENCE.checked_mul(doubled).unwrap_or(MOST_PATIENCE).min(MOST_PATIENCE)
    }

    /// Before this nothing is tried: where one statement found no Timbr, no other does.
    fn not_before(&self) -> Timestamp {
        self.unreached_at.map_or(Timestamp::MIN, |at| at.checked_add(self.patience()).unwrap_or(at))
    }
}

/// Where a RoleGroupSync's statements stand.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub mappings: Vec<MappingStatus>,
    pub statements: Vec<String>,
    pub orphans: Vec<OrphanedMapping>,
    pub sync: Option<SyncStatus>,
    pub problems: Vec<Problem>,
    /// The statement to send, once all of this is recorded.
    pub send: Option<Statement>,
    /// When there is more to do.
    pub again: Option<Timestamp>,
    /// Why not everything is done, while it is a matter of waiting.
    pub pending: Option<String>,
}

/// What a look at the statements goes by.
pub(super) struct Look<'a> {
    /// `Kind/name` of the RoleGroupSync.
    pub holder: &'a str,
    pub sql: &'a Sql,
    /// Whether pods run with the variables that synchronisation needs.
    pub rolled_out: bool,
    /// Whether its checks let what is new of it through.
    pub is_open: bool,
    pub mail: &'a Mail,
    /// The annotation by which a person asks for a synchronisation.
    pub requested: Option<&'a str>,
    pub now: Timestamp,
}

/// The statement that maps a role to a group. Names hold nothing to escape: their rules see to it.
pub fn mapping_statement(RoleMapping { role, group }: &RoleMapping) -> String {
    let (field, value) = match group {
        Group { id: Some(id), .. } => ("id", id),
        Group { email: Some(email), .. } => ("email", email),
        Group { name, .. } => ("name", name.as_ref().unwrap_or(role)),
    };
    format!("ALTER ROLE `{role}` SYNC {field} = '{value}'")
}

/// The statement that synchronises a role now.
fn sync_statement(role: &str) -> String {
    format!("SYNC ROLE `{role}`")
}

fn hash(text: &str) -> String {
    digest(&SHA256, text.as_bytes()).as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Brings the record up to what is known, and says what to send next.
pub(super) fn advance(spec: &RoleGroupSyncSpec, before: Option<&RoleGroupSyncStatus>, look: &Look<'_>) -> Progress {
    let now = Timestamp::from_second(look.now.as_second()).unwrap_or(look.now);
    let recorded = before.and_then(|before| before.sync.as_ref());
    let asked_anew = look.requested.is_some_and(|at| recorded.is_none_or(|sync| sync.requested_at != at));
    let mut progress = Progress::default();
    let mut queue: Vec<(Timestamp, Candidate)> = Vec::new();
    for (i, mapping) in spec.mappings.iter().enumerate() {
        let same = |there: &&MappingStatus| there.role == mapping.role && there.group == mapping.group;
        let record = before.and_then(|before| before.mappings.iter().find(same));
        let mut status = Record { look, now, asked_anew }.of(mapping, record);
        // What was removed and is back is no orphan any more, and may be in Timbr all the same.
        let mut orphans = before.iter().flat_map(|before| &before.orphaned_mappings);
        if orphans.any(|orphan| orphan.role == mapping.role && orphan.group == mapping.group) {
            status.may_have_arrived = Some(true);
        }
        let due = match status.state {
            MappingState::Pending if status.statement_hash.is_none() => Some(Timestamp::MIN),
            MappingState::Failed | MappingState::Unknown => retry_at(&status),
            _ => None,
        };
        queue.extend(due.map(|due| (due, Candidate::Mapping(i))));
        status.message = status.message.map(|message| crate::api::message(&message));
        progress.mappings.push(status);
    }
    progress.sync = sync(spec, recorded, asked_anew, &progress.mappings, look);
    if let Some(sync) = &progress.sync {
        for (i, result) in sync.results.iter().enumerate() {
            let is_applied = |there: &MappingStatus| there.role == result.role && there.state == MappingState::Applied;
            if result.state == MappingState::Pending && progress.mappings.iter().any(is_applied) {
                queue.push((Timestamp::MIN, Candidate::Sync(i)));
            }
        }
    }
    progress.choose(queue, spec, look, now);
    progress.orphans = orphans(&progress.mappings, before, look, now);
    progress.manual(spec);
    progress.tell(spec, look.sql);
    progress
}

/// What may be sent next: mappings before synchronisations, each in the order of the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Candidate {
    Mapping(usize),
    Sync(usize),
}

/// When a statement that was refused or not answered is sent again.
fn retry_at(status: &MappingStatus) -> Option<Timestamp> {
    let wait = WAITS.get(usize::try_from(status.sends?).ok()?.checked_sub(1)?)?;
    status.since.checked_add(*wait).ok()
}

fn id(look: &Look<'_>, status: &MappingStatus, more: u32) -> String {
    let statement = mapping_statement(&RoleMapping { role: status.role.clone(), group: status.group.clone() });
    format!("{} {} {}", look.holder, hash(&statement), status.sends.unwrap_or_default() + more)
}

/// What was asked for then keeps its name, whatever the annotation says by now.
fn sync_id(look: &Look<'_>, requested_at: &str, role: &str) -> String {
    format!("{} {requested_at} {}", look.holder, hash(&sync_statement(role)))
}

impl Look<'_> {
    /// Whether Timbr may have what a record speaks of.
    fn may_be_in_timbr(&self, record: &MappingStatus) -> bool {
        let id = id(self, record, 0);
        let may_be = match record.state {
            MappingState::Applied | MappingState::Unknown => true,
            MappingState::Pending if record.statement_hash.is_some() => {
                self.is_on_its_way(&id) || matches!(self.answer(&id), None | Some(Answer::Done | Answer::Lost(_)))
            }
            MappingState::Pending | MappingState::Failed | MappingState::Manual => false,
        };
        may_be || record.may_have_arrived == Some(true)
    }

    fn is_on_its_way(&self, id: &str) -> bool {
        self.mail.on_its_way.as_deref() == Some(id)
    }

    fn answer(&self, id: &str) -> Option<&Answer> {
        self.mail.answers.get(id).map(|(answer, _)| answer)
    }
}

/// What becomes of one mapping's record.
struct Record<'a> {
    look: &'a Look<'a>,
    now: Timestamp,
    asked_anew: bool,
}

impl Record<'_> {
    fn of(&self, mapping: &RoleMapping, record: Option<&MappingStatus>) -> MappingStatus {
        let status = |state: MappingState, message: Option<String>| MappingStatus {
            role: mapping.role.clone(),
            group: mapping.group.clone(),
            state,
            statement_hash: None,
            sends: None,
            may_have_arrived: record.is_some_and(|record| self.look.may_be_in_timbr(record)).then_some(true),
            message,
            since: record.filter(|record| record.state == state).map_or(self.now, |record| record.since),
        };
        // Done is done, whoever would run it now.
        if let Some(applied) = record.filter(|record| record.state == MappingState::Applied) {
            return applied.clone();
        }
        if let SqlAccess::Manual = self.look.sql.access {
            let message = "run the statement in status.statements in Timbr's SQL Lab; or set spec.sql of the TimbrInstallation, and the operator runs it";
            return status(MappingState::Manual, Some(message.to_owned()));
        }
        if !self.look.sql.allows(&mapping.role) {
            let message = format!(
                "role {} is not among those that the operator may map; run the statement in status.statements yourself, or add the role to spec.sql.allowedRoles of the TimbrInstallation",
                mapping.role
            );
            return status(MappingState::Manual, Some(message));
        }
        match record.filter(|record| record.state != MappingState::Manual) {
            None => status(MappingState::Pending, self.waits_for()),
            Some(record) if record.state == MappingState::Pending && record.statement_hash.is_some() => {
                self.answered(record, &status)
            }
            Some(record) if record.state == MappingState::Pending => {
                let unsent = match self.look.answer(&id(self.look, record, 1)) {
                    Some(Answer::NotSent(why)) => Some(not_sent(why)),
                    _ => None,
                };
                MappingStatus { message: unsent.or_else(|| self.waits_for()), ..record.clone() }
            }
            // Asked for: tried again from the start.
            Some(_) if self.asked_anew => status(MappingState::Pending, self.waits_for()),
            Some(record) => record.clone(),
        }
    }

    /// A statement that was sent, or is about to be.
    fn answered(
        &self,
        record: &MappingStatus,
        status: &dyn Fn(MappingState, Option<String>) -> MappingStatus,
    ) -> MappingStatus {
        let id = id(self.look, record, 0);
        if self.look.is_on_its_way(&id) {
            return record.clone();
        }
        let sent = |state, message: Option<String>| MappingStatus {
            statement_hash: record.statement_hash.clone(),
            sends: record.sends,
            ..status(state, message)
        };
        let unsent = |message| MappingStatus {
            sends: record.sends.and_then(|sends| sends.checked_sub(1)).filter(|sends| *sends > 0),
            ..status(MappingState::Pending, message)
        };
        match self.look.answer(&id) {
            Some(Answer::Done) => MappingStatus { may_have_arrived: None, ..sent(MappingState::Applied, None) },
            Some(Answer::Refused(why)) => sent(MappingState::Failed, Some(refused(why, record.sends))),
            Some(Answer::Lost(why)) => sent(MappingState::Unknown, Some(lost(&foreign(why), record.sends))),
            Some(Answer::NotSent(why)) => unsent(Some(not_sent(why))),
            Some(Answer::Withheld) => unsent(self.waits_for()),
            None => sent(MappingState::Unknown, Some(lost(NOBODY_HEARD, record.sends))),
        }
    }

    fn waits_for(&self) -> Option<String> {
        match &self.look.sql.access {
            SqlAccess::Blocked(why) => Some(format!("not sent yet: {why}")),
            _ if !self.look.rolled_out => {
                Some("not sent yet: it waits until pods of timbr-server run with the variables".to_owned())
            }
            _ if !self.look.is_open => {
                Some("not sent yet: it waits until the Required checks pass, see status.checks".to_owned())
            }
            _ => Some("not sent yet".to_owned()),
        }
    }
}

fn not_sent(why: &str) -> String {
    format!("not sent yet: Timbr's REST API could not be reached ({}); trying again", foreign(why))
}

fn refused(why: &str, sends: Option<u32>) -> String {
    format!(
        "Timbr refused: {}; does the role exist, and may the API key's user edit roles?{}",
        foreign(why),
        what_next(sends)
    )
}

fn lost(why: &str, sends: Option<u32>) -> String {
    format!("no answer from Timbr ({why}), so it may have arrived or not{}", what_next(sends))
}

fn what_next(sends: Option<u32>) -> String {
    match sends.unwrap_or_default() {
        sends if sends >= MOST_SENDS => format!(
            "; sent {sends} times, and not again by itself: set the annotation {} to a new value to try anew",
            crate::api::ANNOTATION_SYNC
        ),
        _ => "; it is sent again after a while".to_owned(),
    }
}

fn withdrawn() -> String {
    format!(
        "not sent: the annotation {} was taken off meanwhile; set it to a new value to ask again",
        crate::api::ANNOTATION_SYNC
    )
}

/// The synchronisation that was asked for.
fn sync(
    spec: &RoleGroupSyncSpec,
    recorded: Option<&SyncStatus>,
    asked_anew: bool,
    mappings: &[MappingStatus],
    look: &Look<'_>,
) -> Option<SyncStatus> {
    let mut sync = match look.requested {
        Some(at) if asked_anew => SyncStatus {
            requested_at: at.to_owned(),
            results: spec
                .mappings
                .iter()
                .map(|mapping| SyncResult { role: mapping.role.clone(), state: MappingState::Pending, message: None })
                .collect(),
        },
        _ => recorded?.clone(),
    };
    let is_withdrawn = look.requested.is_none();
    for result in &mut sync.results {
        let id = sync_id(look, &sync.requested_at, &result.role);
        let is_manual = matches!(look.sql.access, SqlAccess::Manual);
        let mapping = mappings.iter().find(|mapping| mapping.role == result.role);
        let mapped = mapping.map(|mapping| if is_manual { MappingState::Manual } else { mapping.state });
        let (state, message) = match (result.state, look.answer(&id)) {
            (MappingState::Unknown, _) if look.is_on_its_way(&id) => continue,
            (MappingState::Unknown, Some(Answer::Done)) => (MappingState::Applied, None),
            (MappingState::Unknown, Some(Answer::Refused(why))) => {
                (MappingState::Failed, Some(format!("Timbr refused: {}", foreign(why))))
            }
            (MappingState::Unknown, Some(Answer::NotSent(_) | Answer::Withheld)) if is_withdrawn => {
                (MappingState::Failed, Some(withdrawn()))
            }
            (MappingState::Unknown, Some(Answer::NotSent(why))) => (MappingState::Pending, Some(not_sent(why))),
            (MappingState::Unknown, Some(Answer::Withheld)) => (MappingState::Pending, None),
            (MappingState::Unknown, answer) => {
                let why = match answer {
                    Some(Answer::Lost(why)) => foreign(why),
                    _ => NOBODY_HEARD.to_owned(),
                };
                (MappingState::Unknown, Some(format!("no answer from Timbr ({why})")))
            }
            (MappingState::Pending, _) if is_withdrawn => (MappingState::Failed, Some(withdrawn())),
            (MappingState::Pending, _) => match mapped {
                None => (MappingState::Failed, Some("the role is not mapped any more".to_owned())),
                Some(MappingState::Manual) => {
                    (MappingState::Manual, Some(format!("run it in Timbr's SQL Lab: {}", sync_statement(&result.role))))
                }
                Some(MappingState::Failed | MappingState::Unknown) => {
                    (MappingState::Failed, Some("the role's mapping is not applied; see status.mappings".to_owned()))
                }
                Some(MappingState::Pending | MappingState::Applied) => continue,
            },
            _ => continue,
        };
        result.state = state;
        result.message = message.map(|message| crate::api::message(&message));
    }
    Some(sync)
}

/// Mappings that are gone here and perhaps not in Timbr: what a role has there is known for sure only once
/// its mapping here is applied.
fn orphans(
    mappings: &[MappingStatus],
    before: Option<&RoleGroupSyncStatus>,
    look: &Look<'_>,
    now: Timestamp,
) -> Vec<OrphanedMapping> {
    let Some(before) = before else { return vec![] };
    let is_gone = |role: &str, group: &Group| {
        mappings
            .iter()
            .all(|there| there.role != role || (there.group != *group && there.state != MappingState::Applied))
    };
    let known = before.orphaned_mappings.iter().filter(|orphan| is_gone(&orphan.role, &orphan.group)).cloned();
    let new = before.mappings.iter().filter(|mapping| is_gone(&mapping.role, &mapping.group));
    let new = new.filter(|mapping| look.may_be_in_timbr(mapping)).map(|mapping| OrphanedMapping {
        role: mapping.role.clone(),
        group: mapping.group.clone(),
        since: now,
    });
    known.chain(new).take(MOST_ORPHANS).collect()
}

impl Progress {
    /// Chooses what to send, and notes it before it is sent.
    fn choose(
        &mut self,
        mut queue: Vec<(Timestamp, Candidate)>,
        spec: &RoleGroupSyncSpec,
        look: &Look<'_>,
        now: Timestamp,
    ) {
        let SqlAccess::Open(target) = &look.sql.access else { return };
        if !look.rolled_out || !look.is_open || look.mail.on_its_way.is_some() {
            return;
        }
        queue.sort_by_key(|(_, candidate)| *candidate);
        let not_before = look.mail.not_before();
        let Some((_, candidate)) = queue.iter().find(|(due, _)| (*due).max(not_before) <= look.now) else {
            self.again = queue.iter().map(|(due, _)| (*due).max(not_before)).min();
            return;
        };
        let (id, text) = match *candidate {
            Candidate::Mapping(i) => {
                let (Some(status), Some(mapping)) = (self.mappings.get_mut(i), spec.mappings.get(i)) else { return };
                let text = mapping_statement(mapping);
                if status.state != MappingState::Pending {
                    status.since = now;
                }
                status.state = MappingState::Pending;
                status.statement_hash = Some(hash(&text));
                status.sends = Some(status.sends.unwrap_or_default() + 1);
                status.message = Some("sent; waiting for the answer".to_owned());
                (id(look, status, 0), text)
            }
            Candidate::Sync(i) => {
                let Some(SyncStatus { requested_at, results }) = &mut self.sync else { return };
                let Some(result) = results.get_mut(i) else { return };
                result.state = MappingState::Unknown;
                result.message = Some("sent; waiting for the answer".to_owned());
                (sync_id(look, requested_at, &result.role), sync_statement(&result.role))
            }
        };
        self.send = Some(Statement { id, owner: look.holder.to_owned(), text, target: target.clone() });
    }

    /// The statements for a person to run.
    fn manual(&mut self, spec: &RoleGroupSyncSpec) {
        let is_manual = |state| state == MappingState::Manual;
        let mappings = self.mappings.iter().zip(&spec.mappings).filter(|(status, _)| is_manual(status.state));
        let syncs = self.sync.iter().flat_map(|sync| &sync.results).filter(|result| is_manual(result.state));
        self.statements = mappings
            .map(|(_, mapping)| mapping_statement(mapping))
            .chain(syncs.map(|result| sync_statement(&result.role)))
            .collect();
    }

    /// What of it is worth a warning, and what is still to come.
    fn tell(&mut self, spec: &RoleGroupSyncSpec, sql: &Sql) {
        for (i, status) in self.mappings.iter().enumerate() {
            let code = match status.state {
                MappingState::Failed => Code::MappingFailed,
                MappingState::Unknown => Code::MappingUnknown,
                MappingState::Manual if !matches!(sql.access, SqlAccess::Manual) => Code::RoleNotAllowed,
                _ => continue,
            };
            let message = format!("role {}: {}", status.role, status.message.as_deref().unwrap_or_default());
            self.problems.push(Problem::warning(format!("spec.mappings[{i}]"), code, message));
        }
        for OrphanedMapping { role, group, .. } in &self.orphans {
            let mapping = self.mappings.iter().find(|mapping| mapping.role == *role);
            let message = match mapping.map(|mapping| mapping.state) {
                None => format!(
                    "role {role} is still mapped to {group} in Timbr, which has no statement to remove a mapping; map the role to another group, or ask Timbr's support"
                ),
                Some(MappingState::Failed | MappingState::Unknown) => format!(
                    "role {role} may still be mapped to {group} in Timbr, as the mapping that replaces it is not applied; see status.mappings"
                ),
                // The one that replaces it is on its way, or a person is told to run it.
                Some(_) => continue,
            };
            self.problems.push(Problem::warning("spec.mappings", Code::MappingOrphaned, message));
        }
        let pending: Vec<_> = self.mappings.iter().filter(|status| status.state == MappingState::Pending).collect();
        self.pending = pending.first().map(|first| {
            format!(
                "{} of {} mappings are to be applied yet; role {}: {}",
                pending.len(),
                spec.mappings.len(),
                first.role,
                first.message.as_deref().unwrap_or_default()
            )
        });
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group { id: Some(id), .. } => write!(f, "the group with the id {id}"),
            Group { email: Some(email), .. } => write!(f, "group {email}"),
            Group { name, .. } => write!(f, "group {}", name.as_deref().unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_five_minutes() {
        let waits =
            [0, 1, 2, 3, 4, 5, 6, 99].map(|unreached| Mail { unreached, ..Mail::default() }.patience().as_secs());
        assert_eq!(waits, [10, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn the_oldest_answers_are_forgotten_first() {
        let mut mail = Mail::default();
        let count = i64::try_from(MOST_ANSWERS).expect("small");
        let at = |second| Timestamp::from_second(second).expect("a time");
        for second in 0..count {
            mail.keep(format!("id {}", count - second), Answer::Done, at(second));
        }
        assert_eq!(mail.answers.len(), MOST_ANSWERS);
        mail.announce("one more", at(count));
        assert_eq!(mail.answers.len(), MOST_ANSWERS);
        assert!(!mail.answers.contains_key(&format!("id {count}")) && mail.answers.contains_key("one more"));
    }
}
