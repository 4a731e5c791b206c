//! Statements of a RoleGroupSync against a Timbr in memory: whatever happens on the way, what is recorded
//! is true, sends stay within their bound, and in the end Timbr has what the spec says.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, sample::select};
use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, MappingState, MappingStatus, OrphanedMapping, RoleMapping, Status},
    compose::{
        Answer, InstallationKey, Lookup, MOST_SENDS, Mail, Memory, ResourceStatus, Statement, mapping_statement,
        statuses,
    },
};

use crate::{
    fixtures::{at, complete, secret},
    kinds::{SERVER, groups, installation, world},
    world::World,
};

/// What may happen.
#[derive(Clone, Debug)]
pub enum Step {
    /// Time passes.
    Wait(i64),
    /// The statement on its way: what Timbr does with it, and what is heard of it.
    Answer { executed: bool, heard: Heard },
    /// The operator dies; the statement on its way may have arrived.
    Restart { executed: bool },
    /// The role gets another group, or none.
    Edit(usize, Option<&'static str>),
    /// A person asks for a synchronisation.
    Request,
    /// The person takes the annotation off.
    Withdraw,
    /// The pods are replaced, or not yet.
    RollOut(bool),
    /// The next record cannot be written; or it is, and nobody hears of it.
    Unrecorded { written: bool },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Heard {
    Done,
    Refused,
    Nothing,
    Unreached,
}

const ROLES: [&str; 3] = ["editor", "viewer", "guest"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let heard = select(vec![
        (true, Heard::Done),
        (true, Heard::Done),
        (true, Heard::Nothing),
        (false, Heard::Nothing),
        (false, Heard::Refused),
        (false, Heard::Unreached),
    ]);
    let step = prop_oneof![
        4 => select(vec![1, 20, 70, 400, 2000]).prop_map(Step::Wait),
        8 => heard.prop_map(|(executed, heard)| Step::Answer { executed, heard }),
        1 => any::<bool>().prop_map(|executed| Step::Restart { executed }),
        2 => (0..ROLES.len(), prop::option::of(select(vec!["one", "two"]))).prop_map(|(role, group)| Step::Edit(role, group)),
        2 => Just(Step::Request),
        1 => Just(Step::Withdraw),
        1 => any::<bool>().prop_map(Step::RollOut),
        2 => any::<bool>().prop_map(|written| Step::Unrecorded { written }),
    ];
    prop::collection::vec(step, 0..60)
}

pub struct Run {
    pub world: World,
    key: InstallationKey,
    pub now: Timestamp,
    mail: Mail,
    pub on_its_way: Option<Statement>,
    /// What Timbr has: role to statement.
    timbr: BTreeMap<String, String>,
    /// Sends of a statement since it was last asked for anew.
    sends: BTreeMap<String, u32>,
    synced: BTreeMap<(String, String), u32>,
    pub wanted: [Option<&'static str>; 3],
    /// When the last look wants to look again.
    pub again: Option<Timestamp>,
    requests: u32,
    /// The last request was taken back.
    withdrawn: bool,
    /// The request in which the statement on its way was sent.
    sent_in: u32,
    /// Pods have run with the variables: what others do to the Deployment later changes nothing.
    was_rolled_out: bool,
    /// What becomes of the next record, when it is not simply written.
    unrecorded: Option<bool>,
}

impl Run {
    pub fn new() -> Self {
        let mut world = world(vec![]);
        world
            .installations
            .push(installation("main", json!({"sql": {"tokenSecretRef": {"name": "key", "key": "key"}}})));
        world.secrets.insert("key".to_owned(), Lookup::Found(secret(&[("key", "tk_1")])));
        let mut run = Self {
            world,
            key: crate::fixtures::key(Some("main")),
            now: at(1000),
            mail: Mail::default(),
            on_its_way: None,
            timbr: BTreeMap::new(),
            sends: BTreeMap::new(),
            synced: BTreeMap::new(),
            wanted: [Some("one"), Some("one"), None],
            again: None,
            requests: 0,
            withdrawn: false,
            sent_in: 0,
            was_rolled_out: false,
            unrecorded: None,
        };
        run.edit();
        run
    }

    pub fn edit(&mut self) {
        let mappings: Vec<Json> = ROLES
            .iter()
            .zip(self.wanted)
            .filter_map(|(role, group)| Some(json!({"role": role, "group": {"name": group?}})))
            .collect();
        let status = self.world.resources.first().and_then(|resource| resource.status.clone());
        let mut resource = groups(0, "a", mappings.into());
        resource.status = status;
        resource.meta.sync_requested_at = (self.requests > 0 && !self.withdrawn).then(|| self.requests.to_string());
        self.world.resources = vec![resource];
    }

    pub fn rolled_out(&mut self, is_complete: bool) {
        let live = self.world.live_mut(SERVER);
        live.rollout = complete(if is_complete { live.generation } else { live.generation - 1 });
        self.was_rolled_out |= is_complete;
    }

    pub fn mappings(&self) -> Vec<MappingStatus> {
        match self.world.resources[0].status.as_deref() {
            Some(Status::RoleGroupSync(status)) => status.mappings.clone(),
            _ => vec![],
        }
    }

    pub fn sync_states(&self) -> Vec<MappingState> {
        let Some(Status::RoleGroupSync(status)) = self.world.resources[0].status.as_deref() else { return vec![] };
        status.sync.iter().flat_map(|sync| &sync.results).map(|result| result.state).collect()
    }

    /// A look of the operator, and what it does after it.
    pub fn look(&mut self) {
        let (plan, outcomes) = self.world.deliver(&self.key, self.now, &mut vec![], &mut vec![]);
        let said = statuses(&plan, &outcomes, Memory::Partial, &self.mail, self.now);
        if let Some(statement) = &said.send {
            assert_eq!(statement.owner, "RoleGroupSync/groups");
            self.mail.announce(&statement.id, self.now);
        }
        let unrecorded = self.unrecorded.take();
        let is_lost = |change: &&ResourceStatus| change.meta.kind == Kind::RoleGroupSync && unrecorded == Some(false);
        for change in said.statuses.iter().filter(|change| !is_lost(change)) {
            self.world.note(change);
        }
        self.again = said.again;
        self.is_true();
        let Some(statement) = said.send.filter(|_| unrecorded.is_none()) else { return };
        assert!(self.on_its_way.is_none(), "two at once");
        assert!(self.was_rolled_out, "before the pods have their variables");
        assert_eq!(statement.target.url, "http://timbr-api.timbr.svc:9000");
        assert!(!statement.text.contains(';'));
        if let Some(role) = statement.text.strip_prefix("SYNC ROLE ") {
            assert!(!self.withdrawn, "nobody asks for it any more");
            let count = self.synced.entry((self.requests.to_string(), role.to_owned())).or_default();
            *count += 1;
        } else {
            let recorded = self.mappings();
            let pending = recorded
                .iter()
                .find(|mapping| mapping.state == MappingState::Pending && mapping.statement_hash.is_some());
            assert!(pending.is_some(), "not on record: {recorded:?}");
            let sends = self.sends.entry(statement.text.clone()).or_default();
            *sends += 1;
            assert!(*sends <= MOST_SENDS, "{} is sent {sends} times", statement.text);
        }
        self.sent_in = self.requests;
        self.mail.sent(&statement.id);
        self.on_its_way = Some(statement);
    }

    fn orphans(&self) -> Vec<RoleMapping> {
        let Some(Status::RoleGroupSync(status)) = self.world.resources[0].status.as_deref() else { return vec![] };
        let mapping = |orphan: &OrphanedMapping| RoleMapping { role: orphan.role.clone(), group: orphan.group.clone() };
        status.orphaned_mappings.iter().map(mapping).collect()
    }

    /// What is recorded as applied is in Timbr, and what is in Timbr is on record.
    fn is_true(&self) {
        let mapping = |status: MappingStatus| RoleMapping { role: status.role, group: status.group };
        let known: Vec<RoleMapping> = self.mappings().into_iter().map(mapping).chain(self.orphans()).collect();
        for text in self.timbr.values() {
            assert!(known.iter().any(|known| mapping_statement(known) == *text), "{text} is forgotten: {known:?}");
        }
        for mapping in self.mappings().into_iter().filter(|mapping| mapping.state == MappingState::Applied) {
            let text = mapping_statement(&RoleMapping { role: mapping.role.clone(), group: mapping.group });
            assert_eq!(self.timbr.get(&mapping.role), Some(&text), "recorded, and not in Timbr");
        }
    }

    fn execute(&mut self, text: &str) {
        if let Some(rest) = text.strip_prefix("ALTER ROLE `") {
            let (role, _) = rest.split_once('`').expect("a role");
            self.timbr.insert(role.to_owned(), text.to_owned());
        }
    }

    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Wait(seconds) => self.now += SignedDuration::from_secs(*seconds),
            Step::Answer { executed, heard } => {
                let Some(statement) = self.on_its_way.take() else { return };
                if *executed {
                    self.execute(&statement.text);
                }
                // What did not leave was not sent.
                if *heard == Heard::Unreached {
                    if let Some(sends) = self.sends.get_mut(&statement.text) {
                        *sends -= 1;
                    }
                    if let Some(role) = statement.text.strip_prefix("SYNC ROLE ") {
                        *self.synced.get_mut(&(self.sent_in.to_string(), role.to_owned())).expect("a sync") -= 1;
                    }
                }
                let answer = match heard {
                    Heard::Done => Answer::Done,
                    Heard::Refused => Answer::Refused("no such role".to_owned()),
                    Heard::Nothing => Answer::Lost("no answer in time".to_owned()),
                    Heard::Unreached => Answer::NotSent("connection refused".to_owned()),
                };
                self.mail.keep(statement.id, answer, self.now);
            }
            Step::Restart { executed } => {
                if let Some(statement) = self.on_its_way.take()
                    && *executed
                {
                    self.execute(&statement.text);
                }
                self.mail = Mail::default();
            }
            Step::Edit(role, group) => {
                // One that changes is another statement, with sends of its own.
                if self.wanted[*role] != *group {
                    let prefix = format!("ALTER ROLE `{}`", ROLES[*role]);
                    self.sends.retain(|text, _| !text.starts_with(&prefix));
                }
                self.wanted[*role] = *group;
                self.edit();
            }
            Step::Request => {
                self.requests += 1;
                self.withdrawn = false;
                self.sends.clear();
                self.edit();
            }
            Step::Withdraw => {
                self.withdrawn = true;
                self.edit();
            }
            Step::RollOut(complete) => self.rolled_out(*complete),
            Step::Unrecorded { written } => self.unrecorded = Some(*written),
        }
    }

    /// Everything goes well from now on.
    fn finish(&mut self) {
        self.unrecorded = None;
        self.step(&Step::Request);
        for _ in 0..40 {
            self.rolled_out(true);
            self.step(&Step::Answer { executed: true, heard: Heard::Done });
            self.step(&Step::Wait(3600));
            self.look();
        }
    }
}

#[test]
fn whatever_happens_timbr_ends_up_with_what_the_spec_says() {
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    runner
        .run(&steps(), |steps| {
            let mut run = Run::new();
            run.look();
            for step in &steps {
                run.step(step);
                run.look();
            }
            run.finish();
            for (role, group) in ROLES.iter().zip(run.wanted) {
                if let Some(group) = group {
                    let wanted = format!("ALTER ROLE `{role}` SYNC name = '{group}'");
                    prop_assert_eq!(run.timbr.get(*role), Some(&wanted));
                }
            }
            prop_assert!(
                run.mappings().iter().all(|mapping| mapping.state == MappingState::Applied),
                "{:?}",
                run.mappings()
            );
            prop_assert!(run.synced.values().all(|count| *count <= 1), "{:?}", run.synced);
            prop_assert!(
                run.sync_states().iter().all(|state| *state == MappingState::Applied),
                "{:?}",
                run.sync_states()
            );
            Ok(())
        })
        .unwrap();
}

/// A role gets a group again that it had before: the answer of then is none to a statement that was recorded
/// and never sent. Nothing is used up by one.
#[test]
fn an_old_answer_counts_for_no_new_send() {
    for written in [false, true] {
        let mut run = Run::new();
        run.wanted = [Some("one"), None, None];
        run.edit();
        run.look();
        run.rolled_out(true);
        for group in ["one", "two"] {
            run.step(&Step::Edit(0, Some(group)));
            run.look();
            run.step(&Step::Answer { executed: true, heard: Heard::Done });
            run.look();
        }
        let first = |run: &Run| (run.mappings()[0].state, run.mappings()[0].sends);
        run.step(&Step::Edit(0, Some("one")));
        for _ in 0..9 {
            run.step(&Step::Unrecorded { written });
            run.look();
            assert!(run.on_its_way.is_none());
        }
        run.look();
        assert_eq!(first(&run), (MappingState::Pending, Some(1)), "written: {written}");
        let text = run.on_its_way.as_ref().map(|statement| statement.text.as_str());
        assert_eq!(text, Some("ALTER ROLE `editor` SYNC name = 'one'"), "written: {written}");
        run.step(&Step::Answer { executed: true, heard: Heard::Done });
        run.look();
        assert_eq!(first(&run), (MappingState::Applied, Some(1)), "written: {written}");

        // So with a synchronisation.
        run.step(&Step::Request);
        for _ in 0..3 {
            run.step(&Step::Unrecorded { written });
            run.look();
            assert!(run.on_its_way.is_none());
        }
        run.look();
        assert_eq!(run.on_its_way.as_ref().map(|statement| statement.text.as_str()), Some("SYNC ROLE `editor`"));
        assert_eq!(run.synced.len(), 1, "written: {written}");
    }
}

/// The waits between sends: 1, 5 and 30 minutes, and then none.
#[test]
fn a_lost_answer_is_made_good_after_1_5_and_30_minutes() {
    let mut run = Run::new();
    run.wanted = [Some("one"), None, None];
    run.edit();
    run.look();
    run.rolled_out(true);
    run.look();
    let mut sent_at = vec![];
    let begun = run.now;
    // By the second while sends are due, and then on for a day.
    for seconds in [1; 2400].into_iter().chain([600; 144]) {
        if run.on_its_way.is_some() {
            sent_at.push(run.now.duration_since(begun).as_secs());
            run.step(&Step::Answer { executed: false, heard: Heard::Nothing });
        }
        run.look();
        run.step(&Step::Wait(seconds));
    }
    // A second passes between the send and the loss.
    assert_eq!(sent_at, [0, 60 + 1, 60 + 300 + 2, 60 + 300 + 1800 + 3]);
    let mapping = &run.mappings()[0];
    assert_eq!((mapping.state, mapping.sends), (MappingState::Unknown, Some(4)));
}

/// Without an API a person runs what is left; what was applied before stays applied.
#[test]
fn without_an_api_the_rest_is_for_a_person() {
    let mut run = Run::new();
    run.finish();
    run.world.installations = vec![installation("main", json!({}))];
    run.step(&Step::Edit(2, Some("two")));
    run.step(&Step::Request);
    run.look();
    let states: Vec<MappingState> = run.mappings().iter().map(|mapping| mapping.state).collect();
    assert_eq!(states, [MappingState::Applied, MappingState::Applied, MappingState::Manual]);
    let Some(Status::RoleGroupSync(status)) = run.world.resources[0].status.as_deref() else { panic!("no status") };
    assert_eq!(
        status.statements,
        ["ALTER ROLE `guest` SYNC name = 'two'", "SYNC ROLE `editor`", "SYNC ROLE `viewer`", "SYNC ROLE `guest`",]
    );
    assert!(run.on_its_way.is_none());
}

#[test]
fn a_role_is_synchronised_once_its_mapping_is_applied() {
    let mut run = Run::new();
    run.step(&Step::Request);
    run.look();
    run.rolled_out(true);
    run.look();
    let sent = |run: &Run| run.on_its_way.as_ref().map(|statement| statement.text.clone());
    for (text, executed, heard) in [
        ("ALTER ROLE `editor` SYNC name = 'one'", false, Heard::Refused),
        ("ALTER ROLE `viewer` SYNC name = 'one'", true, Heard::Done),
        ("SYNC ROLE `viewer`", true, Heard::Done),
    ] {
        assert_eq!(sent(&run).as_deref(), Some(text));
        run.step(&Step::Answer { executed, heard });
        run.look();
    }
    assert_eq!(sent(&run), None);
}

/// What stays in Timbr although nobody maps it any more is told until Timbr has taken another mapping.
#[test]
fn a_removed_mapping_is_an_orphan() {
    let mut run = Run::new();
    run.finish();
    run.step(&Step::Edit(1, None));
    run.look();
    let orphans = |run: &Run| run.orphans().into_iter().map(|orphan| orphan.role).collect::<Vec<_>>();
    assert_eq!(orphans(&run), ["viewer"]);
    run.step(&Step::Wait(999));
    run.look();
    assert_eq!(orphans(&run), ["viewer"]);
    run.step(&Step::Edit(1, Some("two")));
    run.look();
    assert_eq!(orphans(&run), ["viewer"]);
    run.step(&Step::Answer { executed: true, heard: Heard::Done });
    run.look();
    assert_eq!(orphans(&run), [] as [&str; 0]);
}

/// Reads a statement as a lexer would that takes both doubled quotes and backslashes for escapes; what is
/// inside its one string, if it has exactly one and no escape in it.
fn only_string(statement: &str) -> Option<&str> {
    let rest = statement.strip_prefix("ALTER ROLE `")?;
    let (role, rest) = rest.split_once('`')?;
    let rest = rest.strip_prefix(" SYNC name = '")?;
    let inside = rest.strip_suffix('\'')?;
    let is_plain = |text: &str| !text.contains(['\'', '\\', '`', ';']) && !text.chars().any(char::is_control);
    (is_plain(role) && is_plain(inside) && !inside.contains("--") && !inside.contains("/*")).then_some(inside)
}

fn fuzz(count: u64) {
    use timbr_identity::api::{Group, rules};
    const PIECES: [&str; 40] = [
        "'",
        "''",
        "\\",
        "\\'",
        "`",
        ";",
        "--",
        "-",
        "/*",
        "*/",
        "/",
        "*",
        "\"",
        "\n",
        "\r",
        "\t",
        "\0",
        " ",
        "a",
        "B",
        "7",
        "é",
        "ß",
        "\u{2028}",
        "\u{2029}",
        "\u{202e}",
        "\u{200b}",
        "\u{ff07}",
        "\u{2019}",
        "\u{2bc}",
        "\u{37e}",
        "\u{1fef}",
        "\u{ff3c}",
        "\u{2013}",
        "DROP ROLE admin",
        "名",
        "🙂",
        "%27",
        "&#39;",
        "\u{7f}",
    ];
    // A small generator of our own: the same names each time.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = |n: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % n).expect("small")
    };
    let (mut refused, mut taken) = (0, 0);
    for _ in 0..count {
        let name: String = (0..1 + next(6)).map(|_| PIECES[next(PIECES.len() as u64)]).collect();
        if !rules::GROUP_NAME.holds(&name) {
            refused += 1;
            continue;
        }
        taken += 1;
        let group = Group { name: Some(name.clone()), id: None, email: None };
        let statement = mapping_statement(&RoleMapping { role: "editor".to_owned(), group });
        assert_eq!(only_string(&statement), Some(name.as_str()), "{statement:?}");
    }
    println!("{count} names: {refused} refused, {taken} inside one string");
    assert!(refused > count / 4 && taken > count / 50, "{refused} {taken}");
}

#[test]
fn a_name_is_refused_or_stands_inside_one_string() {
    fuzz(100_000);
}

#[test]
#[ignore = "a million names; make test-full"]
fn a_million_names_are_refused_or_stand_inside_one_string() {
    fuzz(1_000_000);
}

#[test]
fn kinds_of_groups_have_their_statements() {
    let run = |group: Json| {
        let mut world = world(vec![groups(0, "a", json!([{"role": "data editors", "group": group}]))]);
        crate::kinds::settle(&mut world);
        match world.resources[0].status.as_deref() {
            Some(Status::RoleGroupSync(status)) => status.statements.clone(),
            _ => vec![],
        }
    };
    assert_eq!(run(json!({"name": "Timbr Editors"})), ["ALTER ROLE `data editors` SYNC name = 'Timbr Editors'"]);
    assert_eq!(
        run(json!({"id": "12345678-1234-1234-1234-123456789abc"})),
        ["ALTER ROLE `data editors` SYNC id = '12345678-1234-1234-1234-123456789abc'"]
    );
    assert_eq!(run(json!({"email": "e@contoso.com"})), ["ALTER ROLE `data editors` SYNC email = 'e@contoso.com'"]);
}
