//! Several TimbrInstallations, and what of each is whose.

use serde_json::{Value as Json, json};
use timbr_identity::{
    api::{Kind, Resource, Spec, TimbrInstallationSpec},
    compose::Lookup,
};

use crate::{
    fixtures::{PLATFORM, at, condition, deployment, verdict},
    kinds::{self, principal, resource, variables, world},
    world::{Moment, World},
};

fn installation(name: &str, second: i64, components: Json) -> Resource<TimbrInstallationSpec> {
    let mut installation = kinds::installation(name, json!({"components": components}));
    installation.meta.created = Some(at(second));
    installation
}

fn sso(name: &str, installation: &str) -> Resource<Spec> {
    let mut spec = principal("a");
    spec["publicUrl"] = json!("https://timbr.example.com");
    spec["installationRef"] = json!({"name": installation});
    resource(Kind::AzureSso, name, 0, spec)
}

fn suspended(mut resource: Resource<Spec>) -> Resource<Spec> {
    if let Ok(Spec::AzureSso(spec)) = &mut resource.spec {
        spec.suspend = true;
    }
    resource
}

fn with(installations: Vec<Resource<TimbrInstallationSpec>>, resources: Vec<Resource<Spec>>) -> World {
    let mut world = World { installations, ..world(resources) };
    for name in ["web", "web-2"] {
        world.deployments.insert(name.to_owned(), Lookup::Found(deployment("timbr-platform", &[])));
    }
    world
}

/// Enough looks for one installation to see what another has done.
fn settle(world: &mut World) {
    for second in 0..4 {
        world.look(at(100 + second));
    }
}

fn status_of_installation(world: &World, name: &str) -> (String, Vec<(String, String)>) {
    let installation = world.installations.iter().find(|there| there.meta.name == name).expect("the installation");
    let status = installation.status.as_ref().expect("a status").common();
    let problems = status.problems.iter().map(|problem| (problem.path.clone(), problem.code.clone())).collect();
    (verdict(status, "Accepted"), problems)
}

fn owned(problems: &[(&str, &str)]) -> Vec<(String, String)> {
    problems.iter().map(|(path, code)| ((*path).to_owned(), (*code).to_owned())).collect()
}

/// The older has it: with one field manager, two would erase each other's variables.
#[test]
fn a_deployment_belongs_to_one() {
    let web = || json!({"platform": {"deployment": "web"}});
    let far = |name: &str| json!({"deployment": format!("{name}-far")});
    let mut younger = web();
    younger["server"] = far("server");
    younger["api"] = far("api");
    let mut world = with(
        vec![installation("younger", 2, younger), installation("older", 1, web())],
        vec![sso("sso-y", "younger"), sso("sso-o", "older")],
    );
    settle(&mut world);
    assert_eq!(status_of_installation(&world, "older"), ("True/Accepted".to_owned(), vec![]));
    let problems = owned(&[("spec.components.platform.deployment", "Collision")]);
    assert_eq!(status_of_installation(&world, "younger"), ("False/Collision".to_owned(), problems));
    assert_eq!(verdict(world.status("sso-o"), "Delivered"), "True/Delivered");
    assert_eq!(verdict(world.status("sso-y"), "Accepted"), "False/Collision");
    let expected = "Deployment web belongs to TimbrInstallation older, which is older and names it too; name another Deployment in spec.components of one of the two";
    assert_eq!(condition(world.status("sso-y"), "Accepted").expect("it").message, expected);

    // With the older gone, the younger has it.
    world.installations.pop();
    world.resources.pop();
    settle(&mut world);
    assert_eq!(verdict(world.status("sso-y"), "Delivered"), "True/Delivered");
    assert_eq!(variables(&world, "web").len(), 5);
}

/// What no installation names any more is released, unless one cannot be read: it may name it.
#[test]
fn a_deployment_that_nobody_names_is_released() {
    let platform = |name: &str| json!({"platform": {"deployment": name}});
    for (readable, left) in [(true, 0), (false, 5)] {
        let mut world = with(vec![installation("main", 1, platform("web"))], vec![sso("sso", "main")]);
        settle(&mut world);
        assert_eq!(variables(&world, "web").len(), 5);
        let status = world.installations[0].status.take();
        world.installations = vec![installation("main", 1, platform("web-2"))];
        world.installations[0].status = status;
        if !readable {
            let mut other = installation("other", 2, json!({}));
            other.spec = Err("spec: no".into());
            world.installations.push(other);
        }
        settle(&mut world);
        assert_eq!(variables(&world, "web-2").len(), 5, "readable: {readable}");
        assert_eq!(variables(&world, "web").len(), left, "readable: {readable}");
    }
}

/// What is on a Deployment that nobody names any more goes there when it is where it belongs now, and not before.
#[test]
fn what_moves_is_there_before_it_leaves() {
    let platform = |name: &str| json!({"platform": {"deployment": name}});
    let counts = |world: &World| {
        let of = |name: &str| world.deployments[name].found().map_or(0, |_| variables(world, name).len());
        (of("web"), of("web-2"))
    };
    type Row = (&'static str, fn(&mut World), (usize, usize), fn(&mut World), (usize, usize));
    let rows: [Row; 6] = [
        ("at once", |_| {}, (0, 5), |_| {}, (0, 5)),
        (
            "not there yet",
            |world| drop(world.deployments.insert("web-2".to_owned(), Lookup::Missing)),
            (5, 0),
            |world| {
                drop(world.deployments.insert("web-2".to_owned(), Lookup::Found(deployment("timbr-platform", &[]))))
            },
            (0, 5),
        ),
        (
            "may not be read",
            |world| drop(world.deployments.insert("web-2".to_owned(), Lookup::Forbidden)),
            (5, 0),
            |world| world.resources.clear(),
            (0, 0),
        ),
        (
            "another sets one of them there",
            |world| {
                world.live_mut("web-2").containers = deployment("timbr-platform", &[("OAUTH_SECRET", "x")]).containers
            },
            (5, 0),
            |world| world.live_mut("web-2").containers[0].env.clear(),
            (0, 5),
        ),
        (
            "deleted on the way",
            |world| {
                world.live_mut("web-2").containers = deployment("timbr-platform", &[("OAUTH_SECRET", "x")]).containers
            },
            (5, 0),
            |world| world.resources.clear(),
            (0, 0),
        ),
        (
            "suspended",
            |world| world.resources[0] = suspended(sso("sso", "main")),
            (5, 0),
            |world| world.resources[0] = sso("sso", "main"),
            (0, 5),
        ),
    ];
    for (name, before, expected, after, at_last) in rows {
        let mut world = with(vec![installation("main", 1, platform("web"))], vec![sso("sso", "main")]);
        settle(&mut world);
        assert_eq!(counts(&world), (5, 0), "{name}");
        before(&mut world);
        world.installations = vec![installation("main", 1, platform("web-2"))];
        world.moments.clear();
        settle(&mut world);
        assert_eq!(counts(&world), expected, "{name}");
        after(&mut world);
        settle(&mut world);
        assert_eq!(counts(&world), at_last, "{name}");
        if !world.resources.is_empty() {
            let signs_in = |moment: &Moment| moment.keys().any(|(_, _, variable)| variable == "OAUTH_SECRET");
            assert!(world.moments.iter().all(signs_in), "{name}: a moment without");
        }
    }
}

/// The same when the TimbrInstallation is deleted: the resources are the implicit installation's then.
#[test]
fn what_moves_to_the_usual_deployment_is_there_before_it_leaves() {
    let named = json!({"platform": {"deployment": "web"}});
    let mut sso = sso("sso", "main");
    if let Ok(Spec::AzureSso(spec)) = &mut sso.spec {
        spec.installation_ref = None;
    }
    let mut world = with(vec![installation("main", 1, named)], vec![sso]);
    settle(&mut world);
    assert_eq!(variables(&world, "web").len(), 5);
    world.installations.clear();
    world.deployments.insert(PLATFORM.to_owned(), Lookup::Missing);
    settle(&mut world);
    assert_eq!(variables(&world, "web").len(), 5);
    world.deployments.insert(PLATFORM.to_owned(), Lookup::Found(deployment("timbr-platform", &[])));
    settle(&mut world);
    assert_eq!((variables(&world, "web").len(), variables(&world, PLATFORM).len()), (0, 5));
}

/// One that needs two Deployments leaves the old ones when it is on both where it belongs now.
#[test]
fn what_is_on_two_moves_as_one() {
    let components = |server: &str| json!({"server": {"deployment": server}, "platform": {"deployment": "web"}});
    let mut passthrough =
        kinds::resource(Kind::DatabricksPassthrough, "dbx", 1, json!({"workspaceHost": "adb-1.azuredatabricks.net"}));
    if let Ok(Spec::DatabricksPassthrough(spec)) = &mut passthrough.spec {
        spec.installation_ref = sso("sso", "main").spec.expect("a spec").installation_ref().cloned();
    }
    let mut world =
        with(vec![installation("main", 1, components(kinds::SERVER))], vec![sso("sso", "main"), passthrough]);
    settle(&mut world);
    let count = |world: &World, name: &str| variables(world, name).len();
    let (on_web, on_server) = (count(&world, "web"), count(&world, kinds::SERVER));
    assert!(on_web > 5 && on_server > 0, "{on_web} and {on_server}");
    world.deployments.insert("server-2".to_owned(), Lookup::Missing);
    world.installations = vec![installation("main", 1, components("server-2"))];
    settle(&mut world);
    assert_eq!((count(&world, "web"), count(&world, kinds::SERVER)), (on_web, on_server));
    world.deployments.insert("server-2".to_owned(), Lookup::Found(deployment("timbr", &[])));
    settle(&mut world);
    assert_eq!((count(&world, "web"), count(&world, kinds::SERVER), count(&world, "server-2")), (on_web, 0, on_server));
}

/// Two components may share a Deployment if each has a container of its own there.
#[test]
fn components_share_a_deployment_by_containers() {
    let target = |deployment: &str, container: Option<&str>| match container {
        Some(container) => json!({"deployment": deployment, "container": container}),
        None => json!({"deployment": deployment}),
    };
    let rows = [
        (target("web", Some("a")), target("web", Some("b")), true),
        (target("web", Some("a")), target("web", Some("a")), false),
        (target("web", Some("a")), target("web", None), false),
        (target("web", None), target("web", Some("b")), false),
        (target("web", None), target("web", None), false),
        (target("web", Some("a")), target("web-2", Some("a")), true),
        (target("web", None), target("web-2", None), true),
    ];
    for (platform, server, accepted) in rows {
        let components = json!({"platform": platform, "server": server});
        let mut world = with(vec![installation("main", 1, components.clone())], vec![]);
        settle(&mut world);
        let duplicate = [("spec.components", "ComponentDuplicate")];
        let expected = match accepted {
            true => ("True/Accepted".to_owned(), vec![]),
            false => ("False/InvalidSpec".to_owned(), owned(&duplicate)),
        };
        assert_eq!(status_of_installation(&world, "main"), expected, "{components}");
    }
}

/// Which container is meant is not guessed; what there is to choose from is said.
#[test]
fn a_container_that_cannot_be_told_is_asked_for() {
    let rows = [
        (
            None,
            "Deployment web has several containers (a, b) and none is called timbr-platform; name one in spec.components.platform.container of a TimbrInstallation",
        ),
        (
            Some("c"),
            "Deployment web has no container c (there are: a, b); correct spec.components.platform.container of the TimbrInstallation",
        ),
    ];
    for (container, sentence) in rows {
        let mut platform = json!({"deployment": "web"});
        if let Some(container) = container {
            platform["container"] = json!(container);
        }
        let mut world = with(vec![installation("main", 1, json!({"platform": platform}))], vec![sso("sso", "main")]);
        let containers = ["a", "b"].map(|name| deployment(name, &[]).containers.remove(0));
        world.live_mut("web").containers = containers.to_vec();
        settle(&mut world);
        let delivered = condition(world.status("sso"), "Delivered").expect("it");
        assert_eq!((delivered.reason.as_str(), delivered.message.as_str()), ("ContainerNotFound", sentence));
    }
}

/// One that may not be read is not missing for all that anybody knows.
#[test]
fn a_deployment_that_may_not_be_read_is_told() {
    for (lookup, told) in [(Lookup::Forbidden, true), (Lookup::Missing, false)] {
        let mut world = with(vec![installation("main", 1, json!({"platform": {"deployment": "web"}}))], vec![]);
        world.deployments.insert("web".to_owned(), lookup);
        settle(&mut world);
        let (accepted, problems) = status_of_installation(&world, "main");
        let warning = owned(&[("spec.components.platform", "DeploymentForbidden")]);
        assert_eq!((accepted.as_str(), problems), ("True/Accepted", if told { warning } else { vec![] }));
        let problems = &world.installations[0].status.as_ref().expect("a status").common().problems;
        let expected = "Deployment web: the operator may not read Deployments in namespace timbr; grant its ServiceAccount get, list, watch and patch on deployments there; until then nobody knows whether it is there, and status.components calls it Missing";
        assert!(problems.iter().all(|problem| problem.message == expected), "{problems:?}");
    }
}

/// How many of its resources are ready, and what becomes of a suspended one.
#[test]
fn an_installation_sums_up() {
    let sum = |world: &World| {
        let Some(timbr_identity::api::Status::TimbrInstallation(status)) = world.installations[0].status.as_deref()
        else {
            panic!("no status")
        };
        let of = status.resources.clone().expect("a count");
        (of.total, of.ready, of.summary, verdict(&status.common, "Ready"))
    };
    let mut world = with(vec![installation("main", 1, json!({}))], vec![]);
    kinds::settle(&mut world);
    assert_eq!(sum(&world), (0, 0, "0/0".to_owned(), "True/Ready".to_owned()));
    let mut suspended = with(vec![installation("main", 1, json!({}))], vec![]);
    suspended.installations[0].spec.as_mut().expect("a spec").suspend = true;
    kinds::settle(&mut suspended);
    assert_eq!(sum(&suspended), (0, 0, "0/0".to_owned(), "False/Suspended".to_owned()));

    let mut waiting = principal("nowhere");
    waiting["vaultUrl"] = json!("https://contoso.vault.azure.net");
    world.resources = vec![sso("sso", "main"), resource(Kind::KeyVaultBinding, "vault", 0, waiting)];
    kinds::settle(&mut world);
    assert_eq!(sum(&world), (2, 1, "1/2".to_owned(), "True/Ready".to_owned()));
    // Suspended with something delivered, it is as ready as it will be.
    world.installations[0].spec.as_mut().expect("a spec").suspend = true;
    kinds::settle(&mut world);
    assert_eq!(sum(&world).3, "True/Suspended");
}
