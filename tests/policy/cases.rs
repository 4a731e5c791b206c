//! The table of cases: `cases.txt`, which people read, and the oracle, who has not read the crate.
//!
//! `UPDATE_CASES=1` writes the table anew: the rows by [`matrix::rows`], and what the crate answers. The oracle has to
//! agree with every row either way.

use std::{collections::BTreeSet, fs, path::Path};

use timbr_identity::policy::{Code, Decision};

use super::{
    golden,
    matrix::{self, Parameter},
    network::lets_in,
    oracle::oracle,
    question::{answer, name},
    world::{Caller, Issuer, Policy, Rule, World},
};

const OURS: &str = "11111111-0000-4000-8000-00000000000a";
const OURS_UPPER: &str = "11111111-0000-4000-8000-00000000000A";
const THEIRS: &str = "22222222-0000-4000-8000-00000000000b";
const CLIENT: &str = "33333333-0000-4000-8000-00000000000c";
const CLIENT_UPPER: &str = "33333333-0000-4000-8000-00000000000C";
const ANOTHER: &str = "44444444-0000-4000-8000-00000000000d";
const GROUP: &str = "55555555-0000-4000-8000-00000000000e";
const GROUP_UPPER: &str = "55555555-0000-4000-8000-00000000000E";
const OTHER_GROUP: &str = "66666666-0000-4000-8000-00000000000f";

/// What stands beside the policy that is varied, and what becomes of it.
const STATE: Parameter = ("policy", &["enforce", "audit", "invalid", "invalid-audit", "absent"]);
const BESIDE: Parameter = ("beside", &["-", "of-others", "invalid", "audit", "admits-too", "admits-another"]);
const UNLISTED: Parameter = ("unlisted", &["open", "closed"]);
const CLUSTER_NAME: Parameter = ("this-cluster", &["west", "-"]);
const DIRECTORY: Parameter = ("directory", &["ours", "-"]);
const RULE_CLUSTER: Parameter = ("cluster", &["-", "west", "east"]);
const PERMISSIONS: Parameter = ("grants", &["-", "role", "scope", "both"]);
const APPLICATION: Parameter = ("application", &["orders", "billing", "*"]);
const NAMESPACE: Parameter = ("namespace", &["-", "shop", "*"]);

/// Kinds of callers, each with what varies about it.
const BLOCKS: [(&str, &[Parameter]); 4] = [
    (
        "workloads",
        &[
            APPLICATION,
            NAMESPACE,
            RULE_CLUSTER,
            PERMISSIONS,
            STATE,
            BESIDE,
            UNLISTED,
            CLUSTER_NAME,
            ("caller", &["orders", "nameless"]),
            ("of", &["shop", "timbr"]),
        ],
    ),
    (
        "service-accounts",
        &[
            APPLICATION,
            NAMESPACE,
            RULE_CLUSTER,
            STATE,
            CLUSTER_NAME,
            ("of", &["shop", "timbr"]),
            ("by", &["this-cluster", "east", "somebody"]),
        ],
    ),
    (
        "applications",
        &[
            ("clientId", &["-", "its", "ITS", "another's"]),
            ("tenantId", &["-", "ours", "OURS", "theirs"]),
            RULE_CLUSTER,
            STATE,
            CLUSTER_NAME,
            DIRECTORY,
            ("by", &["ours-v1", "ours-v2", "theirs-v2", "somebody"]),
            ("named", &["-", "orders"]),
        ],
    ),
    (
        "users",
        &[
            ("allowAllUsers", &["no", "yes"]),
            ("groups", &["-", "its", "ITS", "another", "both"]),
            STATE,
            BESIDE,
            UNLISTED,
            DIRECTORY,
            ("by", &["ours-v1", "ours-v2", "theirs-v2", "somebody"]),
            ("member-of", &["-", "group", "others", "too-many"]),
        ],
    ),
];

/// A row of the table: the words, by their parameters.
struct Row {
    block: &'static str,
    words: Vec<(&'static str, &'static str)>,
}

impl Row {
    /// A line of the table, word by word.
    fn read(block: &'static str, parameters: &[Parameter], line: &[&str]) -> Self {
        let words = parameters.iter().zip(line).map(|((name, words), word)| {
            let known = words.iter().find(|known| *known == word);
            (*name, *known.unwrap_or_else(|| panic!("{block}: {name} is never {word}")))
        });
        Self { block, words: words.collect() }
    }

    /// The word for a parameter; of what does not vary in this block: the first of its words.
    fn word(&self, (parameter, words): Parameter) -> &'static str {
        self.get(parameter).unwrap_or(words[0])
    }

    fn get(&self, parameter: &str) -> Option<&'static str> {
        self.words.iter().find(|(name, _)| *name == parameter).map(|(_, word)| *word)
    }

    fn world(&self) -> World {
        let state = self.word(STATE);
        let varied = Policy {
            target: "Api",
            valid: !state.starts_with("invalid"),
            audit: state.ends_with("audit"),
            rules: self.rule().into_iter().collect(),
            all_users: self.get("allowAllUsers") == Some("yes"),
            groups: match self.get("groups") {
                Some("its") => vec![GROUP],
                Some("ITS") => vec![GROUP_UPPER],
                Some("another") => vec![OTHER_GROUP],
                Some("both") => vec![OTHER_GROUP, GROUP],
                _ => vec![],
            },
        };
        let mut policies = if state == "absent" { vec![] } else { vec![varied] };
        policies.extend(self.beside());
        World {
            cluster: Some(self.word(CLUSTER_NAME)).filter(|name| *name != "-"),
            tenant: (self.word(DIRECTORY) == "ours").then_some(OURS),
            closed_without_policy: self.word(UNLISTED) == "closed",
            target: "Api",
            policies,
            caller: self.caller(),
        }
    }

    fn rule(&self) -> Option<Rule> {
        let optional = |parameter| Some(self.word(parameter)).filter(|word| *word != "-");
        let grants = self.word(PERMISSIONS);
        (self.block != "users").then(|| Rule {
            application: self.word(APPLICATION),
            namespace: optional(NAMESPACE),
            cluster: optional(RULE_CLUSTER),
            client: match self.get("clientId") {
                Some("its") => Some(CLIENT),
                Some("ITS") => Some(CLIENT_UPPER),
                Some("another's") => Some(ANOTHER),
                _ => None,
            },
            tenant: match self.get("tenantId") {
                Some("ours") => Some(OURS),
                Some("OURS") => Some(OURS_UPPER),
                Some("theirs") => Some(THEIRS),
                _ => None,
            },
            roles: if matches!(grants, "role" | "both") { vec!["reader"] } else { vec![] },
            scopes: if matches!(grants, "scope" | "both") { vec!["read"] } else { vec![] },
        })
    }

    /// A second policy.
    fn beside(&self) -> Option<Policy> {
        let rule = |application| Rule {
            application,
            namespace: Some("shop"),
            cluster: None,
            client: None,
            tenant: None,
            roles: vec!["writer"],
            scopes: vec![],
        };
        let nobody =
            Policy { target: "Api", valid: true, audit: false, rules: vec![], all_users: false, groups: vec![] };
        let everybody = Policy { rules: vec![rule("*")], all_users: true, ..nobody.clone() };
        match self.word(BESIDE) {
            "of-others" => Some(Policy { target: "Server", ..everybody }),
            "invalid" => Some(Policy { valid: false, ..everybody }),
            "audit" => Some(Policy { audit: true, ..nobody }),
            "admits-too" => Some(Policy { rules: vec![rule("orders")], groups: vec![GROUP], ..nobody }),
            "admits-another" => Some(Policy { rules: vec![rule("billing")], groups: vec![OTHER_GROUP], ..nobody }),
            _ => None,
        }
    }

    fn caller(&self) -> Caller {
        let by = self.get("by").unwrap_or_default();
        let somebody = "https://login.example.com/realms/shop";
        let issuer = match by {
            "ours-v1" => Issuer::Entra { tenant: OURS, version: 1 },
            "ours-v2" => Issuer::Entra { tenant: OURS, version: 2 },
            "theirs-v2" => Issuer::Entra { tenant: THEIRS, version: 2 },
            _ => Issuer::Other(somebody),
        };
        let namespace = self.get("of").unwrap_or_default();
        match self.block {
            "workloads" => {
                Caller::Workload { application: (self.get("caller") == Some("orders")).then_some("orders"), namespace }
            }
            "service-accounts" => Caller::ServiceAccount {
                issuer: match by {
                    "this-cluster" => "https://kubernetes.default.svc",
                    "east" => "https://oidc.east.example.com",
                    _ => somebody,
                },
                namespace,
                name: "orders",
            },
            "applications" => Caller::Application {
                issuer,
                client: CLIENT,
                display: (self.get("named") == Some("orders")).then_some("west:timbr:orders"),
            },
            _ => Caller::User {
                issuer,
                groups: match self.get("member-of") {
                    Some("group") => Some(vec![GROUP]),
                    Some("others") => Some(vec!["77777777-0000-4000-8000-000000000000", OURS]),
                    Some("too-many") => None,
                    _ => Some(vec![]),
                },
            },
        }
    }

    /// Whether it is about who may vouch for what.
    fn is_cross_issuer(&self) -> bool {
        matches!(self.get("by"), Some("theirs-v2" | "somebody" | "east"))
    }
}

/// An answer in words: in or out, why, by which policies' rules, with what.
fn outcome(decision: &Decision) -> [String; 4] {
    let short = |path: &str| path.trim_start_matches("spec.").trim_start_matches("inbound.").replace("claims.", "");
    let list = |words: Vec<String>| if words.is_empty() { "-".to_owned() } else { words.join(",") };
    let matched = decision.matched_rules.iter().map(|part| {
        let policy = if part.policy == name(0) { "first" } else { "second" };
        format!("{policy}:{}", short(&part.path))
    });
    let granted = decision.granted.roles.iter().chain(&decision.granted.scopes).cloned();
    [
        if decision.allow { "IN" } else { "OUT" }.to_owned(),
        decision.code.as_str().to_owned(),
        list(matched.collect()),
        list(granted.collect()),
    ]
}

const ANSWER: [&str; 4] = ["answer", "code", "by", "granted"];

/// The table as text: a head and columns for each block.
fn table(blocks: &[(&str, Vec<Vec<String>>)]) -> String {
    let mut text = "\
# Who may use timbr-api, which runs in the namespace timbr. Every three words of three columns that can meet do.
#
# First what the policy says (- : the field is absent), then what else is so, then who asks, then the answer.
# beside: a second policy: of-others (of another component, admits everybody), invalid (would admit everybody), audit
# (admits nobody), admits-too (orders of shop, and the group), admits-another. unlisted: what holds without a policy.
# ours, theirs: directories; ITS, OURS: the same GUID in capitals. by: who vouches for the caller.
"
    .to_owned();
    for (block, rows) in blocks {
        let widths: Vec<_> =
            (0..rows[0].len()).map(|i| rows.iter().map(|row| row[i].len()).max().unwrap_or(0)).collect();
        text.push_str(&format!("\n## {block}\n"));
        for row in rows {
            let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            text.push_str(cells.join("  ").trim_end());
            text.push('\n');
        }
    }
    text
}

/// The table's blocks: of each its name, and its lines as words; the first line is the head.
fn read(text: &str) -> Vec<(&str, Vec<Vec<&str>>)> {
    let blocks = text.split("\n## ").skip(1);
    blocks
        .map(|block| {
            let mut lines = block.lines();
            let name = lines.next().expect("a name");
            (name, lines.filter(|line| !line.is_empty()).map(|line| line.split_whitespace().collect()).collect())
        })
        .collect()
}

fn file() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/policy/cases.txt")
}

#[test]
fn every_case_is_answered_as_the_table_and_the_oracle_say() {
    if golden::update() {
        fs::write(file(), made()).expect("the table");
    }
    let text = fs::read_to_string(file()).expect("the table");
    let (mut cases, mut cross, mut codes) = (0, 0, BTreeSet::new());
    for ((block, parameters), (_, lines)) in BLOCKS.into_iter().zip(read(&text)) {
        for line in &lines[1..] {
            let row = Row::read(block, parameters, line);
            let world = row.world();
            let decision = answer(&world);
            assert_eq!(outcome(&decision), line[parameters.len()..], "{block}: {}", line.join(" "));
            let verdict = oracle(&world);
            assert_eq!(decision.allow, verdict.allow, "the oracle, {block}: {}", line.join(" "));
            if let Some(is_in) = lets_in(&world) {
                assert_eq!(decision.allow, is_in, "the network, {block}: {}", line.join(" "));
            }
            let matched: Vec<_> =
                verdict.rules.iter().map(|(p, r)| (name(*p), format!("spec.inbound.rules[{r}]"))).collect();
            let rules = decision.matched_rules.iter().filter(|part| part.path.contains("rules"));
            let rules: Vec<_> = rules.map(|part| (part.policy.clone(), part.path.clone())).collect();
            assert_eq!(rules, matched, "the oracle, {block}: {}", line.join(" "));
            let granted = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
            assert_eq!(granted(&decision.granted.roles), verdict.roles.into_iter().collect::<Vec<_>>());
            assert_eq!(granted(&decision.granted.scopes), verdict.scopes.into_iter().collect::<Vec<_>>());
            cases += 1;
            cross += usize::from(row.is_cross_issuer());
            codes.insert(decision.code);
        }
    }
    // What is removed is no column here: see `laws.rs`.
    let missing: Vec<_> = Code::ALL.iter().filter(|code| !codes.contains(code)).collect();
    assert_eq!(missing, [&Code::PolicyRemoved]);
    assert!(cases >= 200 && cross >= 40, "{cases} cases, {cross} of them across issuers");
    println!("{cases} cases, {cross} of them across issuers");
}

/// The table has what it claims to have.
#[test]
fn every_three_words_that_can_meet_do() {
    let text = fs::read_to_string(file()).expect("the table");
    let blocks = read(&text);
    assert_eq!(blocks.iter().map(|(name, _)| *name).collect::<Vec<_>>(), BLOCKS.map(|(name, _)| name));
    for ((block, parameters), (_, lines)) in BLOCKS.iter().zip(&blocks) {
        assert_eq!(lines[0], parameters.iter().map(|(name, _)| *name).chain(ANSWER).collect::<Vec<_>>());
        for wanted in matrix::combinations(parameters) {
            let stands = |row: &Vec<&str>| wanted.iter().all(|(p, w)| row[*p] == parameters[*p].1[*w]);
            let words = || wanted.iter().map(|(p, w)| (parameters[*p].0, parameters[*p].1[*w])).collect::<Vec<_>>();
            assert!(lines[1..].iter().any(stands), "{block}: no row has {:?}", words());
        }
    }
}

fn made() -> String {
    let blocks: Vec<_> = BLOCKS
        .iter()
        .map(|(block, parameters)| {
            let head = parameters.iter().map(|(name, _)| *name).chain(ANSWER).map(str::to_owned).collect();
            let rows = matrix::rows(parameters).into_iter().map(|words| {
                let answer = outcome(&answer(&Row::read(block, parameters, &words).world()));
                words.into_iter().map(str::to_owned).chain(answer).collect()
            });
            (*block, [head].into_iter().chain(rows).collect())
        })
        .collect();
    table(&blocks)
}
