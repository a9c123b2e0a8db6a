package decide

import (
	"hash/maphash"
	"net/netip"

	"github.com/gaissmai/bart"
)

// index finds the rules that may match a request. Each rule is in one of its
// parts, under each alternative of the condition that the part is made for.
// Copies share everything; a change replaces what it must.
type index struct {
	reach [numParts]reach

	bare          bareRules // those that stand as bytes, by stream name
	names         sieve     // others by exact stream name
	prefixes      sieve     // by what a pattern begins with
	prefixLengths lengths
	grams         sieve // by another text of a pattern
	gramSizes     lengths
	addrs         *addrs               // by network
	fields        hashMap[customField] // by custom field
	values        trie                 // by custom field and its value
	absent        hashMap[posting]     // by a custom field that must not be there
	apps          trie
	rest          rest
}

// addrs are the rules of networks.
type addrs struct {
	owner *owner
	table *bart.Table[posting]
}

// at returns what stands under exactly this network. The nil addrs are empty.
func (a *addrs) at(network netip.Prefix) posting {
	if a == nil {
		return posting{}
	}
	there, _ := a.table.Get(network)
	return there
}

// with returns the addrs with another posting for a network. A table that the
// edit began itself is changed in place, for the library does not say which
// nodes of a changed copy are its own.
func (a *addrs) with(o *owner, network netip.Prefix, there posting) *addrs {
	if a == nil {
		a = &addrs{owner: o, table: new(bart.Table[posting])}
	}
	switch {
	case a.owner != o && there.empty():
		a = &addrs{table: a.table.DeletePersist(network)}
	case a.owner != o:
		a = &addrs{table: a.table.InsertPersist(network, there)}
	case there.empty():
		a.table.Delete(network)
	default:
		a.table.Insert(network, there)
	}
	if a.table.Size() == 0 {
		return nil
	}
	return a
}

// customField is the rules that ask for one custom field.
type customField struct {
	present posting // that it is there
	tokens  posting // a token in it
	values  int     // how many postings have a value of it
}

// part is one part of an index.
type part uint8

const (
	partBare part = iota
	partName
	partPrefix
	partPattern
	partAddr
	partValue
	partField
	partToken
	partApp
	partAbsent
	partRest
	numParts
)

// reach says what a part can do: how many entries it has, and a rank that none
// of them goes above.
type reach struct {
	entries int
	rank    rank
}

func (r *reach) add(rank rank) {
	if r.entries == 0 {
		r.rank = lowestRank
	}
	r.entries++
	r.rank = max(r.rank, rank)
}

// Index is the part of a table that brought a rule up.
type Index string

// The indexes.
const (
	IndexName    Index = "name"    // by exact stream name
	IndexPrefix  Index = "prefix"  // by what a pattern begins with
	IndexPattern Index = "pattern" // by another literal text of a pattern
	IndexAddr    Index = "addr"    // by a network that has the address
	IndexValue   Index = "value"   // by the value of a custom field
	IndexField   Index = "field"   // by a custom field that must be there
	IndexToken   Index = "token"   // by the custom field of a token
	IndexApp     Index = "app"     // by application
	IndexAbsent  Index = "absent"  // by a custom field that must not be there
	IndexRest    Index = "rest"    // looked at for every request
)

// keys makes the keys of a table's tries. Their seeds keep publishers, who
// choose what is looked up, from choosing where.
type keys struct {
	seed maphash.Seed
	salt prefixHash
}

func (k keys) of(text string) uint32 { return uint32(maphash.String(k.seed, text)) }

func (k keys) ofName(stream string) uint64 { return maphash.String(k.seed, stream) }

func (k keys) ofField(field string) uint64 { return maphash.String(k.seed, field) }

// ofValue takes the hash of the field, which has been looked up before its values are.
func (k keys) ofValue(field uint64, value string) uint32 {
	const odd = 0x9E3779B1 // else field and value could change places
	return uint32(field)*odd ^ k.of(value)
}

// visit offers the search every rule that may match. Parts that cannot better
// what was found are left out.
func (x *index) visit(s *search, keys keys) {
	if x.reach[partBare].entries+x.reach[partName].entries > 0 {
		x.visitNames(s, keys.ofName(s.in.Name))
	}
	if s.open(x.reach[partPrefix]) {
		x.visitPrefixes(s, keys.salt)
	}
	if s.open(x.reach[partPattern]) {
		x.visitGrams(s)
	}
	if s.open(x.reach[partAddr]) {
		x.visitAddrs(s)
	}
	if s.in.Custom != nil && (s.open(x.reach[partValue]) || s.open(x.reach[partField]) || s.open(x.reach[partToken])) {
		x.visitCustom(s, keys)
	}
	if s.open(x.reach[partApp]) {
		s.visit(x.apps.get(keys.of(s.in.App)), IndexApp)
	}
	if s.open(x.reach[partAbsent]) {
		x.visitAbsent(s)
	}
	if s.open(x.reach[partRest]) {
		for i := range x.rest {
			s.visit(&x.rest[i].posting, IndexRest)
		}
	}
}

// visitNames offers the rules of exactly the request's stream name.
func (x *index) visitNames(s *search, hash uint64) {
	if s.open(x.reach[partBare]) {
		x.visitBare(s, hash)
	}
	if s.open(x.reach[partName]) {
		s.visit(x.names.get(uint32(hash)), IndexName)
	}
}

// visitAddrs offers what stands under each network that has the address.
func (x *index) visitAddrs(s *search) {
	addr := s.address()
	if !addr.IsValid() || !x.addrs.table.Contains(addr) {
		return
	}
	for _, p := range x.addrs.table.Supernets(netip.PrefixFrom(addr, addr.BitLen())) {
		s.visit(&p, IndexAddr)
	}
}

// visitCustom goes through the fields of the request or those of the index,
// whichever are fewer: a request may carry thousands.
func (x *index) visitCustom(s *search, keys keys) {
	if x.fields.len() < s.in.Custom.Len() {
		x.fields.each(func(e *entry[customField]) {
			if value, ok := s.in.Custom.Get(e.key); ok {
				x.visitField(s, keys, &e.value, e.hash, value)
			}
		})
		return
	}
	for _, f := range s.in.Custom.List() {
		hash := keys.ofField(f.Key)
		if field := x.fields.get(hash, f.Key); field != nil {
			x.visitField(s, keys, field, hash, f.Value)
		}
	}
}

func (x *index) visitField(s *search, keys keys, field *customField, hash uint64, value string) {
	s.visit(&field.present, IndexField)
	s.visit(&field.tokens, IndexToken)
	if field.values > 0 {
		s.visit(x.values.get(keys.ofValue(hash, value)), IndexValue)
	}
}

// visitAbsent offers the rules of each field that the request has not.
func (x *index) visitAbsent(s *search) {
	x.absent.each(func(e *entry[posting]) {
		if !s.in.has(e.key) {
			s.visit(&e.value, IndexAbsent)
		}
	})
}

// visitTokenless offers the rules that are found by the field of their token, where the
// request has not the field. They cannot match; it is for who wants to know why.
func (x *index) visitTokenless(s *search) {
	x.fields.each(func(e *entry[customField]) {
		if !s.in.has(e.key) {
			s.visit(&e.value.tokens, IndexToken)
		}
	})
}
