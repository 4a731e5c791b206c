//! Whatever happened on the way, a namespace ends as if its end had been applied from scratch.

use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value as Json;
use timbr_identity::{
    api::{Kind, Object},
    compose::{LiveDeployment, LiveEnv, LiveEnvFrom, LiveValue, Lookup, Owner},
};

use crate::{
    fixtures::{at, complete, deployment, meta, plain, secret},
    history::{Act, History, OURS, THEIRS},
    world::World,
};

/// A namespace and its clock.
#[derive(Default)]
struct Stage {
    world: World,
    second: i64,
}

impl Stage {
    fn play(acts: &[Act]) -> World {
        let mut stage = Self::default();
        for act in acts {
            stage.second += 1;
            stage.act(act);
            // Not after each act: some come together.
            if stage.second % 3 != 0 {
                stage.world.look(at(stage.second));
            }
        }
        stage.settle();
        stage.world
    }

    fn settle(&mut self) {
        for _ in 0..4 {
            self.second += 1;
            self.world.look(at(self.second));
            for live in self.world.deployments.values_mut() {
                if let Lookup::Found(live) = live {
                    live.rollout = complete(live.generation);
                }
            }
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Apply(manifest) => self.apply(manifest),
            Act::Delete("Deployment", name) => {
                let gone = self.world.deployments.remove(name);
                let uid = gone.as_ref().and_then(Lookup::found).map(|live| live.uid.clone());
                self.world
                    .secrets
                    .retain(|_, there| there.found().is_none_or(|there| there.owner.is_none() || there.owner != uid));
            }
            Act::Delete("Secret", name) => drop(self.world.secrets.remove(name)),
            Act::Delete("TimbrInstallation", name) => self.world.installations.retain(|it| it.meta.name != *name),
            Act::Delete(kind, name) => {
                self.world.resources.retain(|it| (it.meta.kind.name(), &it.meta.name) != (*kind, name));
            }
            Act::Theirs(deployment, value) => self.set(deployment, THEIRS, value),
            Act::Ours(deployment) => {
                self.settle();
                self.set(deployment, OURS.0, "theirs");
            }
            Act::Restart(_) => self.world.hands.clear(),
            Act::Settle => self.settle(),
        }
    }

    fn apply(&mut self, manifest: &Json) {
        let name = manifest["metadata"]["name"].as_str().expect("a name");
        match manifest["kind"].as_str().expect("a kind") {
            "Secret" => {
                let value = manifest["stringData"]["client-secret"].as_str().expect("a value");
                self.world.secrets.insert(name.to_owned(), Lookup::Found(secret(&[("client-secret", value)])));
            }
            "Deployment" => self.deployment(name, &manifest["spec"]["template"]["spec"]["containers"][0]),
            kind => self.object(kind, name, manifest),
        }
    }

    fn deployment(&mut self, name: &str, container: &Json) {
        let text = |value: &Json| value.as_str().expect("a string").to_owned();
        let env_from: Vec<LiveEnvFrom> = container["envFrom"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|from| LiveEnvFrom { secret: text(&from["secretRef"]["name"]), prefixed: false })
            .collect();
        let uid = format!("uid-{}", self.second);
        let fresh = || {
            let live = deployment(&text(&container["name"]), &[("TIMBR_LOG_LEVEL", "info")]);
            Lookup::Found(LiveDeployment { uid, ..live })
        };
        self.world.deployments.entry(name.to_owned()).or_insert_with(fresh);
        let live = self.world.live_mut(name);
        if live.containers[0].env_from != env_from {
            live.containers[0].env_from = env_from;
            live.generation += 1;
            live.rollout = complete(live.generation);
        }
    }

    fn object(&mut self, kind: &str, name: &str, manifest: &Json) {
        let kind = Kind::ALL.iter().copied().find(|known| known.name() == kind).expect("a known kind");
        let (mut meta, second) = (meta(kind, name), self.second);
        let mut take_over =
            |there: Option<(&timbr_identity::api::Meta, &Option<Arc<timbr_identity::api::Status>>)>| match there {
                Some((before, status)) => {
                    meta = timbr_identity::api::Meta { generation: before.generation + 1, ..before.clone() };
                    status.clone()
                }
                None => {
                    meta.uid = format!("uid-{second}");
                    meta.created = Some(at(second));
                    None
                }
            };
        match Object::read(kind, &Default::default(), manifest) {
            Object::Installation(mut read) => {
                let all = &mut self.world.installations;
                read.status = take_over(all.iter().find(|it| it.meta.name == name).map(|it| (&it.meta, &it.status)));
                read.meta = meta;
                all.retain(|it| it.meta.name != name);
                all.push(read);
            }
            Object::Resource(mut read) => {
                let all = &mut self.world.resources;
                let is_it = |of: &timbr_identity::api::Meta| (of.kind, of.name.as_str()) == (kind, name);
                read.status = take_over(all.iter().find(|it| is_it(&it.meta)).map(|it| (&it.meta, &it.status)));
                read.meta = meta;
                all.retain(|it| !is_it(&it.meta));
                all.push(read);
            }
        }
    }

    /// What `kubectl set env` does.
    fn set(&mut self, deployment: &str, variable: &str, value: &str) {
        let live = self.world.live_mut(deployment);
        let container = &mut live.containers[0];
        let place = (container.name.clone(), variable.to_owned());
        match container.env.iter_mut().find(|env| env.name == variable) {
            Some(there) => there.value = plain(value),
            None => container.env.push(LiveEnv { name: variable.to_owned(), value: plain(value) }),
        }
        let by = Owner { manager: "kubectl-set".to_owned(), operation: "Update".to_owned() };
        let ownership = &mut live.ownership;
        if ownership.ours.contains(&place) {
            ownership.bare.insert(place.clone());
            ownership.rootless.insert(place.clone());
        }
        ownership.others.insert(place, [by.clone()].into());
        ownership.latest = Some(by);
        live.generation += 1;
        live.rollout = complete(live.generation);
    }
}

/// What must not depend on the way, as lines: the variables that new pods get; of each Deployment the variables in
/// the template (those by Secret without its name), which of them are ours and on whose account; and the conditions.
fn end(world: &World) -> BTreeSet<String> {
    let mut lines: BTreeSet<String> =
        world.effective().iter().map(|(of, value)| format!("{of:?}: {:?}", value.expose())).collect();
    for (name, live) in world.deployments.iter().filter_map(|(name, lookup)| Some((name, lookup.found()?))) {
        lines.extend(live.containers[0].env.iter().map(|env| match &env.value {
            LiveValue::Plain(value) => format!("{name}: {} is {:?}", env.name, value.expose()),
            _ => format!("{name}: {} by Secret", env.name),
        }));
        lines.extend(live.ownership.ours.iter().map(|place| format!("{name}: {place:?} is ours")));
        lines.insert(format!("{name}: {:?}, {:?}, content: {}", live.managed, live.delivered, live.content.is_some()));
    }
    let statuses = world.resources.iter().map(|it| (it.meta.holder(), &it.status));
    for (holder, status) in statuses.chain(world.installations.iter().map(|it| (it.meta.holder(), &it.status))) {
        let conditions = status.iter().flat_map(|status| &status.common().conditions);
        lines.extend(conditions.map(|it| format!("{holder}: {} {} {} {}", it.type_, it.status, it.reason, it.message)));
    }
    lines
}

/// `HISTORIES` says how many, `SEED` which is the first.
#[test]
fn every_history_ends_as_its_end_from_scratch() {
    let number =
        |name: &str, otherwise: u64| std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"));
    let (first, count) = (number("SEED", 0), number("HISTORIES", 300));
    for seed in first..first + count {
        let history = History::of(seed, 10);
        let (end, expected) = (end(&Stage::play(&history.acts)), end(&Stage::play(&history.from_scratch)));
        let differences =
            (end.difference(&expected).collect::<Vec<_>>(), expected.difference(&end).collect::<Vec<_>>());
        assert!(end == expected, "SEED={seed} HISTORIES=1: {:#?}\nis and is missing: {differences:#?}", history.acts);
    }
    println!("{count} histories from seed {first} on ended as their ends from scratch");
}
