// The one translation unit that holds the compiled part of Asio and Beast; everything else only
// declares it.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
