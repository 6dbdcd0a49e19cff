// The source of the targets whose precompiled headers others reuse (cmake/Library.cmake, cmake/Test.cmake).
int main() {}
