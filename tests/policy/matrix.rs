//! Every three values that can meet: a covering array, made the same each time.

/// A thing that varies, and the words for what it may be.
pub type Parameter = (&'static str, &'static [&'static str]);

/// How many values at a time have to meet.
const STRENGTH: usize = 3;

/// Rows of words, one of each parameter, in which every three words of three parameters stand together at least once.
/// Greedy: each row begins with what is still missing, and takes for each other parameter what brings most.
pub fn rows(parameters: &[Parameter]) -> Vec<Vec<&'static str>> {
    let mut missing = combinations(parameters);
    let mut rows = Vec::new();
    while let Some(first) = missing.first().cloned() {
        let mut row: Vec<Option<usize>> = vec![None; parameters.len()];
        for (parameter, word) in first {
            row[parameter] = Some(word);
        }
        for parameter in 0..parameters.len() {
            if row[parameter].is_none() {
                let brings = |word: &usize| {
                    let mut tried = row.clone();
                    tried[parameter] = Some(*word);
                    missing.iter().filter(|wanted| holds(&tried, wanted)).count()
                };
                // Of several that bring as much, the first.
                let best = (0..parameters[parameter].1.len()).rev().max_by_key(brings);
                row[parameter] = best;
            }
        }
        missing.retain(|wanted| !holds(&row, wanted));
        let words = row.iter().zip(parameters).map(|(word, (_, words))| words[word.expect("a whole row")]);
        rows.push(words.collect());
    }
    rows
}

/// What has to meet: of each, the parameters and the words, by their places.
pub fn combinations(parameters: &[Parameter]) -> Vec<Vec<(usize, usize)>> {
    let mut all: Vec<Vec<(usize, usize)>> = vec![vec![]];
    for (parameter, (_, words)) in parameters.iter().enumerate() {
        let longer: Vec<_> = all
            .iter()
            .filter(|chosen| chosen.len() < STRENGTH)
            .flat_map(|chosen| {
                (0..words.len()).map(|word| chosen.iter().copied().chain([(parameter, word)]).collect::<Vec<_>>())
            })
            .collect();
        all.extend(longer);
    }
    all.retain(|chosen| chosen.len() == STRENGTH);
    all
}

fn holds(row: &[Option<usize>], wanted: &[(usize, usize)]) -> bool {
    wanted.iter().all(|(parameter, word)| row[*parameter] == Some(*word))
}

#[test]
fn every_three_words_meet() {
    let parameters: [Parameter; 4] =
        [("a", &["1", "2", "3"]), ("b", &["1", "2"]), ("c", &["1", "2", "3", "4"]), ("d", &["1", "2"])];
    let rows = rows(&parameters);
    for wanted in combinations(&parameters) {
        let stands = |row: &Vec<&str>| wanted.iter().all(|(p, w)| row[*p] == parameters[*p].1[*w]);
        assert!(rows.iter().any(stands), "{wanted:?}");
    }
    // 24 are needed for a, b and c; less than all of 48.
    assert!((24..40).contains(&rows.len()), "{}", rows.len());
}
