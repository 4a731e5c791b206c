//! What is recorded of a statement, and what a person reads, at each point of its way.

use std::collections::BTreeSet;

use timbr_identity::{
    api::{MappingState, Problem, RoleGroupSyncStatus, Status},
    compose::Lookup,
};

use crate::{
    fixtures::secret,
    statements::{Heard, Run, Step},
};

/// A run with one mapping or more, not looked at yet.
fn run(wanted: [Option<&'static str>; 3]) -> Run {
    let mut run = Run::new();
    run.wanted = wanted;
    run.edit();
    run
}

/// One whose pods have the variables, and whose first statement is on its way.
fn sent() -> Run {
    let mut run = run([Some("one"), None, None]);
    run.look();
    run.rolled_out(true);
    run.look();
    run
}

fn answer(run: &mut Run, heard: Heard) {
    run.step(&Step::Answer { executed: heard == Heard::Done, heard });
    run.look();
}

fn status(run: &Run) -> &RoleGroupSyncStatus {
    match run.world.resources[0].status.as_deref() {
        Some(Status::RoleGroupSync(status)) => status,
        other => panic!("{other:?}"),
    }
}

/// The first mapping: state, sends and message.
fn first(run: &Run) -> (MappingState, Option<u32>, String) {
    let mapping = status(run).mappings[0].clone();
    (mapping.state, mapping.sends, mapping.message.unwrap_or_default())
}

fn told(run: &Run) -> Vec<(String, String, String)> {
    let tell = |problem: &Problem| (problem.path.clone(), problem.code.clone(), problem.message.clone());
    status(run).common.problems.iter().filter(|problem| problem.code.contains("apping")).map(tell).collect()
}

const AGAIN: &str = "; it is sent again after a while";
const NOT_AGAIN: &str = "; sent 4 times, and not again by itself: set the annotation identity.timbr.ai/sync-requested-at to a new value to try anew";
const REFUSED: &str = "Timbr refused: \"no such role\"; does the role exist, and may the API key's user edit roles?";
const LOST: &str = "no answer from Timbr (\"no answer in time\"), so it may have arrived or not";
const UNREACHED: &str = "not sent yet: Timbr's REST API could not be reached (\"connection refused\"); trying again";

#[test]
fn what_it_waits_for_is_said() {
    let mut run = run([Some("one"), None, None]);
    run.look();
    let pods = "not sent yet: it waits until pods of timbr-server run with the variables";
    assert_eq!(first(&run), (MappingState::Pending, None, pods.to_owned()));
    run.world.secrets.insert("key".to_owned(), Lookup::Missing);
    run.rolled_out(true);
    run.look();
    let key = "not sent yet: TimbrInstallation main is not accepted, or its API key is missing; its status says what to correct";
    assert_eq!(first(&run), (MappingState::Pending, None, key.to_owned()));
    assert!(run.on_its_way.is_none());
    run.world.secrets.insert("key".to_owned(), Lookup::Found(secret(&[("key", "tk_1")])));
    run.look();
    let sent = (MappingState::Pending, Some(1), "sent; waiting for the answer".to_owned());
    assert_eq!(first(&run), sent);
    assert_eq!(run.on_its_way.as_ref().expect("it is sent").text, "ALTER ROLE `editor` SYNC name = 'one'");
    assert_eq!(told(&run), []);
    // However often one looks: it is on its way.
    run.step(&Step::Wait(100));
    run.look();
    assert_eq!(first(&run), sent);
}

#[test]
fn each_answer_has_its_record() {
    let rows = [
        (Heard::Done, MappingState::Applied, Some(1), String::new(), None),
        (Heard::Refused, MappingState::Failed, Some(1), format!("{REFUSED}{AGAIN}"), Some("MappingFailed")),
        (Heard::Nothing, MappingState::Unknown, Some(1), format!("{LOST}{AGAIN}"), Some("MappingUnknown")),
        (Heard::Unreached, MappingState::Pending, None, UNREACHED.to_owned(), None),
    ];
    for (heard, state, sends, message, code) in rows {
        let mut run = sent();
        answer(&mut run, heard);
        assert_eq!(first(&run), (state, sends, message.clone()), "{heard:?}");
        let told_is =
            code.map(|code| ("spec.mappings[0]".to_owned(), code.to_owned(), format!("role editor: {message}")));
        assert_eq!(told(&run), Vec::from_iter(told_is), "{heard:?}");
        assert_eq!(status(&run).mappings[0].statement_hash.is_some(), sends.is_some(), "{heard:?}");
        // Nothing of it is sent at once, and looking again changes nothing.
        assert!(run.on_its_way.is_none(), "{heard:?}");
        run.step(&Step::Wait(1));
        run.look();
        assert_eq!(first(&run), (state, sends, message), "{heard:?}");
    }
}

/// It is said when the next send is due, and then it is sent, in a state that is new.
#[test]
fn what_failed_is_sent_again() {
    for (heard, wait, sends) in [(Heard::Refused, 60, 2), (Heard::Nothing, 60, 2), (Heard::Unreached, 10, 1)] {
        let mut run = sent();
        answer(&mut run, heard);
        let answered = run.now;
        let due = answered + jiff::SignedDuration::from_secs(wait);
        assert_eq!(run.again, Some(due), "{heard:?}");
        run.step(&Step::Wait(wait - 1));
        run.look();
        assert!(run.on_its_way.is_none(), "{heard:?}");
        run.step(&Step::Wait(1));
        run.look();
        assert_eq!(first(&run), (MappingState::Pending, Some(sends), "sent; waiting for the answer".to_owned()));
        assert!(run.on_its_way.is_some(), "{heard:?}");
        let since = if heard == Heard::Unreached { crate::fixtures::at(1000) } else { due };
        assert_eq!(status(&run).mappings[0].since, since, "{heard:?}");
        // What could not be sent after a refusal is still the second send.
        answer(&mut run, Heard::Unreached);
        assert_eq!(first(&run), (MappingState::Pending, (sends > 1).then_some(sends - 1), UNREACHED.to_owned()));
    }
}

#[test]
fn after_the_last_send_a_person_is_asked() {
    for (heard, state, cause) in
        [(Heard::Refused, MappingState::Failed, REFUSED), (Heard::Nothing, MappingState::Unknown, LOST)]
    {
        let mut run = sent();
        for sends in 1..=4 {
            answer(&mut run, heard);
            let next = if sends < 4 { AGAIN } else { NOT_AGAIN };
            assert_eq!(first(&run), (state, Some(sends), format!("{cause}{next}")));
            run.step(&Step::Wait(1800));
            run.look();
        }
        assert!(run.on_its_way.is_none() && run.again.is_none());
        // Asked anew, it begins anew.
        run.step(&Step::Request);
        run.look();
        assert_eq!(first(&run).1, Some(1));
        assert!(run.on_its_way.is_some());
    }
}

/// By its name an answer finds its statement: no two sends share one.
#[test]
fn each_send_has_a_name_of_its_own() {
    let mut run = run([Some("one"), Some("two"), None]);
    run.look();
    run.rolled_out(true);
    run.look();
    assert_eq!(status(&run).mappings[1].message.as_deref(), Some("not sent yet"));
    let mut names = BTreeSet::new();
    let mut hear = |run: &mut Run, text: &str, heard: Heard| {
        let statement = run.on_its_way.clone().unwrap_or_else(|| panic!("{text} is not sent"));
        assert_eq!(statement.text, text);
        assert!(names.insert(statement.id.clone()), "{} again", statement.id);
        answer(run, heard);
    };
    hear(&mut run, "ALTER ROLE `editor` SYNC name = 'one'", Heard::Refused);
    hear(&mut run, "ALTER ROLE `viewer` SYNC name = 'two'", Heard::Done);
    run.step(&Step::Wait(60));
    run.look();
    hear(&mut run, "ALTER ROLE `editor` SYNC name = 'one'", Heard::Done);
    for _ in 0..2 {
        run.step(&Step::Request);
        run.look();
        hear(&mut run, "SYNC ROLE `editor`", Heard::Done);
        hear(&mut run, "SYNC ROLE `viewer`", Heard::Done);
        run.step(&Step::Wait(4000));
        run.look();
        assert!(run.on_its_way.is_none(), "once is enough");
    }
    assert_eq!(names.len(), 7);
}

/// What was removed and comes back may be in Timbr, until that is known.
#[test]
fn what_comes_back_may_have_arrived() {
    let mut run = sent();
    answer(&mut run, Heard::Done);
    run.step(&Step::Edit(0, None));
    run.look();
    run.step(&Step::Edit(0, Some("one")));
    run.look();
    assert_eq!(status(&run).mappings[0].may_have_arrived, Some(true));
    answer(&mut run, Heard::Done);
    assert_eq!((first(&run).0, status(&run).mappings[0].may_have_arrived), (MappingState::Applied, None));
}

#[test]
fn an_answer_that_nobody_heard_is_none() {
    let mut run = sent();
    run.step(&Step::Restart { executed: true });
    run.look();
    let why = "no answer from Timbr (the operator ended before the answer came), so it may have arrived or not";
    assert_eq!(first(&run), (MappingState::Unknown, Some(1), format!("{why}{AGAIN}")));
}

/// Where one statement found no Timbr, no other does: they wait together, ever longer, until any answer comes.
#[test]
fn all_statements_wait_for_timbr() {
    const FIRST: &str = "ALTER ROLE `editor` SYNC name = 'one'";
    let mut run = run([Some("one"), Some("two"), None]);
    run.look();
    run.rolled_out(true);
    run.look();
    let text = |run: &Run| run.on_its_way.as_ref().map(|statement| statement.text.clone());
    for wait in [10, 20, 40] {
        assert_eq!(text(&run).as_deref(), Some(FIRST));
        answer(&mut run, Heard::Unreached);
        assert_eq!(run.again, Some(run.now + jiff::SignedDuration::from_secs(wait)));
        run.step(&Step::Wait(wait - 1));
        run.look();
        assert_eq!(text(&run), None, "{wait}");
        run.step(&Step::Wait(1));
        run.look();
    }
    // It is there, whatever it answers: the next one goes out at once.
    answer(&mut run, Heard::Refused);
    assert_eq!(text(&run).as_deref(), Some("ALTER ROLE `viewer` SYNC name = 'two'"));
    answer(&mut run, Heard::Done);
    run.step(&Step::Wait(60));
    run.look();
    answer(&mut run, Heard::Done);
    let states =
        |run: &Run| -> Vec<MappingState> { status(run).mappings.iter().map(|mapping| mapping.state).collect() };
    assert_eq!(states(&run), [MappingState::Applied, MappingState::Applied]);

    // So with synchronisations.
    run.step(&Step::Request);
    run.look();
    assert_eq!(text(&run).as_deref(), Some("SYNC ROLE `editor`"));
    answer(&mut run, Heard::Unreached);
    assert_eq!(text(&run), None);
    run.step(&Step::Wait(10));
    run.look();
    assert_eq!(text(&run).as_deref(), Some("SYNC ROLE `editor`"));
}

#[test]
fn each_answer_to_a_synchronisation_has_its_record() {
    let rows = [
        (Some(Heard::Done), MappingState::Applied, None),
        (Some(Heard::Refused), MappingState::Failed, Some("Timbr refused: \"no such role\"")),
        (Some(Heard::Nothing), MappingState::Unknown, Some("no answer from Timbr (\"no answer in time\")")),
        (Some(Heard::Unreached), MappingState::Pending, Some(UNREACHED)),
        (None, MappingState::Unknown, Some("no answer from Timbr (the operator ended before the answer came)")),
    ];
    for (heard, state, message) in rows {
        let mut run = sent();
        answer(&mut run, Heard::Done);
        run.step(&Step::Request);
        run.look();
        let result = |run: &Run| {
            let sync = status(run).sync.clone().expect("a synchronisation");
            assert_eq!(sync.requested_at, "1");
            (sync.results[0].state, sync.results[0].message.clone())
        };
        let on_its_way = (MappingState::Unknown, Some("sent; waiting for the answer".to_owned()));
        assert_eq!(result(&run), on_its_way);
        run.look();
        assert_eq!(result(&run), on_its_way);
        match heard {
            Some(heard) => answer(&mut run, heard),
            None => {
                run.step(&Step::Restart { executed: true });
                run.look();
            }
        }
        assert_eq!(result(&run), (state, message.map(str::to_owned)), "{heard:?}");
        assert_eq!(run.again.is_some(), heard == Some(Heard::Unreached), "{heard:?}");
    }
}

/// A synchronisation that nobody asks for any more comes to an end: what is on its way is answered, and nothing
/// more is sent.
#[test]
fn a_request_that_is_taken_back_is_closed() {
    let rows = [
        (Heard::Done, MappingState::Applied),
        (Heard::Refused, MappingState::Failed),
        (Heard::Nothing, MappingState::Unknown),
        (Heard::Unreached, MappingState::Failed),
    ];
    for (heard, state) in rows {
        let mut run = run([Some("one"), Some("two"), None]);
        run.look();
        run.rolled_out(true);
        run.look();
        answer(&mut run, Heard::Done);
        answer(&mut run, Heard::Done);
        run.step(&Step::Request);
        run.look();
        run.step(&Step::Withdraw);
        run.look();
        assert_eq!(run.sync_states(), [MappingState::Unknown, MappingState::Failed], "{heard:?}");
        let results = status(&run).sync.as_ref().map(|sync| sync.results.clone()).unwrap_or_default();
        let taken_off = "not sent: the annotation identity.timbr.ai/sync-requested-at was taken off meanwhile; set it to a new value to ask again";
        assert_eq!(results[1].message.as_deref(), Some(taken_off));
        answer(&mut run, heard);
        assert_eq!(run.sync_states(), [state, MappingState::Failed], "{heard:?}");
        for _ in 0..3 {
            run.step(&Step::Wait(4000));
            run.look();
            assert!(run.on_its_way.is_none(), "{heard:?}");
        }
        assert_eq!(run.again, None, "{heard:?}");
        // A new value asks again.
        run.step(&Step::Request);
        run.look();
        answer(&mut run, Heard::Done);
        answer(&mut run, Heard::Done);
        assert_eq!(run.sync_states(), [MappingState::Applied; 2], "{heard:?}");
    }
}

/// In Timbr stays what may have arrived there.
#[test]
fn what_may_be_in_timbr_is_an_orphan() {
    for (heard, orphans) in [(Heard::Done, 1), (Heard::Nothing, 1), (Heard::Refused, 0), (Heard::Unreached, 0)] {
        let mut run = sent();
        answer(&mut run, heard);
        run.step(&Step::Edit(0, None));
        run.look();
        assert_eq!(status(&run).orphaned_mappings.len(), orphans, "{heard:?}");
        let sentence = "role editor is still mapped to group one in Timbr, which has no statement to remove a mapping; map the role to another group, or ask Timbr's support";
        let expected: Vec<_> = (0..orphans)
            .map(|_| ("spec.mappings".to_owned(), "MappingOrphaned".to_owned(), sentence.to_owned()))
            .collect();
        assert_eq!(told(&run), expected, "{heard:?}");
    }
}

/// A role whose new mapping is not applied has the old one in Timbr, also when the new one is removed again.
#[test]
fn what_is_replaced_is_an_orphan_until_the_new_one_is_applied() {
    const REPLACED: &str = "role editor may still be mapped to group one in Timbr, as the mapping that replaces it is not applied; see status.mappings";
    const REMOVED: &str = "role editor is still mapped to group one in Timbr, which has no statement to remove a mapping; map the role to another group, or ask Timbr's support";
    let groups = |run: &Run| -> Vec<String> {
        status(run).orphaned_mappings.iter().map(|orphan| orphan.group.to_string()).collect()
    };
    let orphaned = |run: &Run| -> Vec<String> {
        let told = told(run).into_iter().filter(|(_, code, _)| code == "MappingOrphaned");
        told.map(|(.., message)| message).collect()
    };
    type Row = (Option<Heard>, &'static [&'static str], &'static [&'static str], &'static [&'static str]);
    let rows: [Row; 5] = [
        // What becomes of the new one; orphans then, what is told of them; orphans once it is removed.
        (Some(Heard::Done), &[], &[], &["group two"]),
        (Some(Heard::Refused), &["group one"], &[REPLACED], &["group one"]),
        (Some(Heard::Nothing), &["group one"], &[REPLACED], &["group one", "group two"]),
        (Some(Heard::Unreached), &["group one"], &[], &["group one"]),
        (None, &["group one"], &[], &["group one", "group two"]),
    ];
    for (heard, replaced, said, removed) in rows {
        let mut run = sent();
        answer(&mut run, Heard::Done);
        run.step(&Step::Edit(0, Some("two")));
        run.look();
        assert_eq!(groups(&run), ["group one"], "{heard:?}");
        assert_eq!(orphaned(&run), [] as [&str; 0], "{heard:?}");
        match heard {
            Some(heard) => answer(&mut run, heard),
            None => run.look(),
        }
        assert_eq!(groups(&run), replaced, "{heard:?}");
        assert_eq!(orphaned(&run), said, "{heard:?}");
        run.step(&Step::Edit(0, None));
        run.look();
        run.look();
        assert_eq!(groups(&run), removed, "{heard:?}");
        if heard == Some(Heard::Refused) {
            assert_eq!(orphaned(&run), [REMOVED]);
        }
    }
    // For a person to run: whether it was run nobody can tell.
    let mut run = sent();
    answer(&mut run, Heard::Done);
    run.world.installations[0].spec.as_mut().expect("a spec").sql = None;
    run.step(&Step::Edit(0, Some("two")));
    run.look();
    assert_eq!((groups(&run), orphaned(&run)), (vec!["group one".to_owned()], vec![]));
}

/// What may have arrived once may be in Timbr whatever comes after.
#[test]
fn what_may_have_arrived_is_remembered() {
    type After = fn(&mut Run);
    let again = |run: &mut Run, heard: Heard| {
        run.step(&Step::Wait(60));
        run.look();
        assert!(run.on_its_way.is_some());
        answer(run, heard);
    };
    let rows: [(&str, MappingState, After); 4] = [
        ("refused", MappingState::Failed, |_| ()),
        ("not sent", MappingState::Pending, |_| ()),
        ("for a person", MappingState::Manual, |run| {
            run.world.installations[0].spec.as_mut().expect("a spec").sql = None;
            run.look();
        }),
        ("removed and back", MappingState::Pending, |run| {
            run.step(&Step::Edit(0, None));
            run.look();
            assert_eq!(status(run).orphaned_mappings.len(), 1);
            run.step(&Step::Edit(0, Some("one")));
            run.rolled_out(false);
            run.look();
            assert_eq!(status(run).orphaned_mappings.len(), 0);
        }),
    ];
    for (row, state, after) in rows {
        let mut run = sent();
        run.step(&Step::Answer { executed: true, heard: Heard::Nothing });
        run.look();
        match row {
            "refused" => again(&mut run, Heard::Refused),
            "not sent" => again(&mut run, Heard::Unreached),
            _ => {}
        }
        after(&mut run);
        let mapping = &status(&run).mappings[0];
        assert_eq!((mapping.state, mapping.may_have_arrived), (state, Some(true)), "{row}");
        run.step(&Step::Edit(0, None));
        run.look();
        assert_eq!(status(&run).orphaned_mappings.len(), 1, "{row}");
    }
}

/// An installation that is not right sends nothing, though its key is there.
#[test]
fn an_installation_that_is_not_accepted_sends_nothing() {
    let mut run = run([Some("one"), None, None]);
    run.look();
    run.rolled_out(true);
    let sql = run.world.installations[0].spec.as_mut().expect("a spec").sql.as_mut().expect("sql");
    sql.url = Some("http://timbr-api.elsewhere.svc:9000".to_owned());
    run.look();
    assert!(run.on_its_way.is_none());
    assert!(first(&run).2.contains("TimbrInstallation main is not accepted"), "{:?}", first(&run));
}

/// Suspended or wrong, it sends nothing and forgets nothing.
#[test]
fn what_cannot_speak_for_itself_sends_and_forgets_nothing() {
    type Spoil = fn(&mut Run);
    let spoils: [Spoil; 2] = [
        |run| run.world.resources[0].spec.as_mut().expect("a spec").set_suspend(),
        |run| run.world.resources[0].spec = Err("spec.interval: expected a string".into()),
    ];
    for spoil in spoils {
        let mut run = run([Some("one"), Some("two"), None]);
        run.look();
        run.rolled_out(true);
        run.look();
        run.step(&Step::Answer { executed: true, heard: Heard::Done });
        spoil(&mut run);
        let before = status(&run).mappings.clone();
        for _ in 0..3 {
            run.step(&Step::Wait(4000));
            run.look();
        }
        assert!(run.on_its_way.is_none());
        assert_eq!(status(&run).mappings, before);
    }
}

/// Ready says what is left to do by hand.
#[test]
fn who_has_statements_to_run_is_told_so() {
    let message = |run: &Run| crate::fixtures::condition(&status(run).common, "Ready").expect("it").message.clone();
    let mut run = sent();
    answer(&mut run, Heard::Done);
    assert_eq!(message(&run), "delivered and rolled out; the credentials were not tried out");
    run.world.installations[0].spec.as_mut().expect("a spec").sql = None;
    run.step(&Step::Edit(1, Some("two")));
    run.look();
    assert!(
        message(&run).ends_with("; run the statements in status.statements in Timbr's SQL Lab"),
        "{}",
        message(&run)
    );
}
