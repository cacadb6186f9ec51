//! Honest peers in a hostile network.

use super::*;

/// Runs to the end, cutting now and then; gives how many blocks were verified more than once.
fn transfer(seed: u64, source: &Disk, disk: &mut Disk, cuts: u64, prepare: impl Fn(&mut Run)) -> (Run, usize) {
    let mut dice = Dice(seed);
    let mut verified = Vec::new();
    for cut in 0..=cuts {
        let lanes = dice.roll(4) as usize + 1;
        let mut run = Run::new(source, disk, lanes, Naming::Unix);
        prepare(&mut run);
        let steps = if cut < cuts { dice.roll(400) } else { 1_000_000 };
        for _ in 0..steps {
            run.step(&mut dice, disk).unwrap_or_else(|offence| panic!("seed {seed}: {offence}"));
            if run.done.is_some() {
                break;
            }
        }
        verified.append(&mut run.verified);
        if run.done.is_some() {
            let all = verified.len();
            verified.sort();
            verified.dedup();
            return (run, all - verified.len());
        }
    }
    panic!("seed {seed}: the transfer never ended");
}

#[test]
fn any_tree_arrives_whatever_is_cut_and_no_verified_block_travels_twice() {
    for seed in 0..60 {
        let mut dice = Dice(seed);
        let source = random_tree(&mut dice);
        let (mut disk, cuts) = (Disk::new(), dice.roll(5));
        let (_, twice) = transfer(seed, &source, &mut disk, cuts, |_| {});
        assert_eq!(disk, source, "seed {seed}");
        assert_eq!(twice, 0, "seed {seed}");
    }
}

#[test]
fn spoiled_blocks_are_found_and_fetched_again() {
    let mut spoiled = 0;
    for seed in 100..130 {
        let source = Disk::from([(vec![b"f".to_vec()], Node::File(Dice(seed).bytes(6 * BLOCK as usize)))]);
        let mut disk = Disk::new();
        let (run, _) = transfer(seed, &source, &mut disk, 0, |run| run.spoil = 20);
        assert_eq!(disk, source, "seed {seed}");
        spoiled += usize::from(run.receiver.wire() > 6 * BLOCK);
    }
    assert!(spoiled > 3, "the chance was too small to test anything");
}

#[test]
fn a_file_that_changes_while_it_is_sent_arrives_as_it_is_at_the_end() {
    for seed in 200..230 {
        let mut dice = Dice(seed);
        let before = dice.bytes(4 * BLOCK as usize);
        // The same beginning: only what differs is to be sent again.
        let mut after = before.clone();
        after.extend(dice.bytes(dice.clone().roll(2 * BLOCK) as usize + 1));
        let source =
            Disk::from([(vec![b"a".to_vec()], Node::File(dice.bytes(100))), (vec![b"f".to_vec()], Node::File(before))]);
        let mut disk = Disk::new();
        let change = (1, after.clone());
        transfer(seed, &source, &mut disk, 0, |run| run.change = Some(change.clone()));
        assert_eq!(disk[&vec![b"f".to_vec()]], Node::File(after), "seed {seed}");
    }
}

#[test]
fn a_small_file_that_outgrows_its_offer_arrives_by_another_run() {
    let path = vec![b"f".to_vec()];
    let (mut stayed, mut outgrew) = (0, 0);
    for seed in 300..360 {
        let mut dice = Dice(seed);
        let grown = dice.bytes(1 + [20, 33, 300][seed as usize % 3] * 1024);
        let source = Disk::from([(path.clone(), Node::File(dice.bytes(10)))]);
        let mut disk = Disk::new();
        let mut run = Run::new(&source, &disk, 1, Naming::Unix);
        run.change = Some((0, grown.clone()));
        while run.done.is_none() && !run.outgrown {
            run.step(&mut dice, &mut disk).unwrap();
        }
        if run.outgrown {
            outgrew += 1;
            transfer(seed, &Disk::from([(path.clone(), Node::File(grown.clone()))]), &mut disk, 0, |_| {});
        } else {
            stayed += 1;
        }
        assert_eq!(disk[&path], Node::File(grown), "seed {seed}");
    }
    assert!(stayed > 0 && outgrew > 0, "{stayed} stayed small, {outgrew} outgrew");
}

#[test]
fn names_that_a_system_cannot_hold_are_left_out_and_the_rest_arrives() {
    let source = Disk::from([
        (vec![b"NUL.txt".to_vec()], Node::File(b"device".to_vec())),
        (vec![b"C:".to_vec()], Node::Dir),
        (vec![b"C:".to_vec(), b"x".to_vec()], Node::File(b"drive".to_vec())),
        (vec![b"good".to_vec()], Node::File(b"good".to_vec())),
    ]);
    let (mut disk, mut dice) = (Disk::new(), Dice(1));
    let mut run = Run::new(&source, &disk, 1, Naming::Windows);
    while run.done.is_none() {
        run.step(&mut dice, &mut disk).unwrap();
    }
    assert_eq!(disk.keys().collect::<Vec<_>>(), [&vec![b"good".to_vec()]]);
    assert_eq!(run.warnings, 3);
}

#[test]
fn a_long_listing_stays_within_the_window() {
    let source: Disk = (0..40_000u32).map(|n| (vec![format!("{n:06}").into_bytes()], Node::File(vec![1]))).collect();
    let (mut disk, mut dice) = (Disk::new(), Dice(3));
    let mut run = Run::new(&source, &disk, 2, Naming::Unix);
    while run.done.is_none() {
        run.step(&mut dice, &mut disk).unwrap();
    }
    assert_eq!(disk.len(), source.len());
}

#[test]
fn a_limit_holds_over_time_and_pause_stops_the_work() {
    let source = Disk::from([(vec![b"f".to_vec()], Node::File(Dice(1).bytes(3 * BLOCK as usize)))]);
    let mut run = Run::new(&source, &Disk::new(), 1, Naming::Unix);
    let mut disk = Disk::new();
    run.sender.pause(true);
    for _ in 0..500 {
        run.step(&mut Dice(9), &mut disk).unwrap();
    }
    assert_eq!(run.sender.next_work(), Work::Wait);
    run.sender.pause(false);
    run.sender.limit(Some(1000));
    let now = Duration::from_secs(9);
    assert_eq!(run.sender.pace(1000, now), None);
    assert!(run.sender.pace(1000, now).is_some_and(|then| then > now + Duration::from_millis(900)));
    run.sender.handle(FromReceiver::Limit(Some(10))).unwrap();
    assert_eq!(run.sender.pace(10, now), None, "a new limit begins anew");
    assert!(run.sender.pace(10, now).is_some());
}
