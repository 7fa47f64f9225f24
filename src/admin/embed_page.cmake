# cmake -DPAGE=dashboard.html -DOUT=dashboard_page.cpp -P embed_page.cmake: the page as a function of the program.
# In pieces, because the standard lets a compiler refuse string literals above 64 KiB.
file(READ ${PAGE} text)
string(LENGTH "${text}" length)
set(literal "")
foreach(at RANGE 0 ${length} 8000)
  string(SUBSTRING "${text}" ${at} 8000 piece)
  string(APPEND literal "    R\"page(${piece})page\"\n")
endforeach()
file(WRITE ${OUT} "#include \"keyferry/admin/dashboard.hpp\"\n
namespace keyferry {\n
std::string_view dashboard_page() {\n  return\n${literal}    ;\n}\n
}  // namespace keyferry\n")
