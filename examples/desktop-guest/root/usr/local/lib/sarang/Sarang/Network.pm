package Sarang::Network;
# The seed's network-config, version 2: cards found by their MAC, each by DHCP or with addresses, gateway4 and nameservers.
# It becomes one file of systemd-networkd a card.
use strict;
use warnings;
use Sarang::Account;

my $FOLDER = '/etc/systemd/network';
my $MAC = qr/^[0-9a-f]{2}(?::[0-9a-f]{2}){5}$/i;
my $IP = qr/^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]{2,39})$/i;
my $NETWORK = qr/^(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f:]{2,39})\/\d{1,3}$/i;

# The file's value -> [{ mac, dhcp, addresses, gateway, nameservers }].
sub parse {
  my ($config) = @_;
  die "network-config: is not version 2\n" if ($config->{version} // '') ne '2';
  my $cards = $config->{ethernets} || {};
  die "network-config: ethernets is not a mapping\n" if ref $cards ne 'HASH';
  return [map { card_of($cards->{$_}) } sort keys %$cards];
}

sub card_of {
  my ($card) = @_;
  die "network-config: a card is not a mapping\n" if ref $card ne 'HASH' || ref($card->{match} || {}) ne 'HASH';
  my $servers = $card->{nameservers} || {};
  die "network-config: nameservers is not a mapping\n" if ref $servers ne 'HASH';
  return {
    mac => shaped($card->{match}{macaddress}, $MAC, 'macaddress'),
    dhcp => ($card->{dhcp4} // '') =~ /^(true|yes|on)$/i ? 1 : 0,
    gateway => defined $card->{gateway4} ? shaped($card->{gateway4}, $IP, 'gateway4') : undef,
    addresses => list_of($card->{addresses}, $NETWORK, 'addresses'),
    nameservers => list_of($servers->{addresses}, $IP, 'nameservers'),
  };
}

sub shaped {
  my ($text, $shape, $key) = @_;
  die "network-config: $key has a shape that is refused\n" if ref $text || ($text // '') !~ $shape || $text =~ /\n/;
  return $text;
}

sub list_of {
  my ($list, $shape, $key) = @_;
  $list ||= [];
  die "network-config: $key is not a list\n" if ref $list ne 'ARRAY';
  return [map { shaped($_, $shape, $key) } @$list];
}

sub file_of {
  my ($card) = @_;
  return join "\n", '[Match]', "MACAddress=$card->{mac}", '', '[Network]', 'DHCP=' . ($card->{dhcp} ? 'yes' : 'no'),
    (map { "Address=$_" } @{ $card->{addresses} }), ($card->{gateway} ? "Gateway=$card->{gateway}" : ()),
    (map { "DNS=$_" } @{ $card->{nameservers} }), '';
}

sub apply {
  my ($cards) = @_;
  my $number = 0;
  Sarang::Account::write_file(sprintf("$FOLDER/70-seed-%d.network", $number++), file_of($_)) for @$cards;
}

1;
