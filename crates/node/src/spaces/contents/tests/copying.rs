//! Contents in another space.

use logic::ledger::RealmId;

use super::super::copy_content;
use super::*;

#[test]
fn a_copy_in_another_space_shares_nothing_with_the_first() {
    let home = Home::new();
    let other = home.spaces().found("other").unwrap();
    let dir = home.work().join("d");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("large"), noise(1, 3 << 20)).unwrap();
    fs::write(dir.join("tiny"), "tiny").unwrap();
    fs::write(dir.join("empty"), "").unwrap();
    fs::File::create(dir.join("hole")).unwrap().set_len(3 << 20).unwrap();
    home.put(&dir, "");
    for name in ["large", "tiny", "empty", "hole"] {
        let content = home.written(&format!("d/{name}")).content;
        let copy = copy_content(&home.access(), &content, &other, RealmId::ROOT, &Patient).unwrap();
        assert_eq!(copy == content, name != "large", "{name}");
        let access = Access { kept: other.clone(), ..home.access() };
        let mut pieces = Pieces::open(access, &copy, 0..u64::MAX, &Patient).unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = pieces.next(&Patient) {
            match piece.unwrap() {
                Piece::Data(data) => bytes.extend(data),
                Piece::Zeros(len) => bytes.resize(bytes.len() + len as usize, 0),
            }
        }
        assert!(bytes == fs::read(dir.join(name)).unwrap(), "{name}");
    }
    let usage = home.spaces().objects.usage(&other.namespace()).unwrap();
    assert!(usage.objects > 0);
    let content = home.written("d/large").content;
    assert_eq!(copy_content(&home.access(), &content, home.kept(), RealmId::ROOT, &Patient).unwrap(), content);
}
