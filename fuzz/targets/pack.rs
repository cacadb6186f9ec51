//! Packs: any bytes are read without harm, and in a real pack that was changed and cut every record that is whole is
//! found, and nothing that is not there.
#![no_main]

use arbitrary::Unstructured;
use libfuzzer_sys::fuzz_target;
use store::objects::pack::{ObjectId, PACK_HEADER, PackKey, Record, Scanner, pack_header, read_pack_header};

const ID: [u8; 16] = [7; 16];

fn scan(pack: &[u8]) -> Vec<Record> {
    let found: Vec<_> = Scanner::new(pack, PackKey::new(&ID), PACK_HEADER, pack.len() as u64).collect();
    for record in &found {
        let start = record.offset as usize + 56;
        let bytes = &pack[start..start + record.len as usize];
        assert_eq!(record.sound, ObjectId::of(bytes) == record.id);
    }
    assert!(found.windows(2).all(|pair| pair[0].offset < pair[1].offset));
    found
}

fuzz_target!(|data: &[u8]| {
    let _ = read_pack_header(data);
    scan(data);

    let mut u = Unstructured::new(data);
    let (objects, changes, cut): (Vec<Vec<u8>>, Vec<(u16, u8)>, u16) = u.arbitrary().unwrap_or_default();
    let (key, mut pack, mut whole) = (PackKey::new(&ID), pack_header(&ID).to_vec(), Vec::new());
    for object in &objects {
        let (id, start) = (ObjectId::of(object), pack.len());
        pack.extend(key.record_header(start as u64, &id, object.len() as u32));
        pack.extend(object);
        whole.push((id, start..pack.len()));
        pack.resize(pack.len().next_multiple_of(8), 0);
    }
    for (place, change) in changes {
        let place = usize::from(place) % pack.len();
        pack[place] ^= change;
        if change != 0 {
            whole.retain(|(_, span)| !span.contains(&place));
        }
    }
    pack.truncate(pack.len().saturating_sub(cut.into()));
    whole.retain(|(_, span)| span.end <= pack.len());
    let found = scan(&pack);
    for (id, span) in &whole {
        assert!(found.iter().any(|record| record.offset == span.start as u64 && record.id == *id && record.sound));
    }
    for record in found.iter().filter(|record| record.sound) {
        let len = record.len as usize;
        assert!(objects.iter().any(|object| object.len() == len && ObjectId::of(object) == record.id));
    }
});
