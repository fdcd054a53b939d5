from glob import glob

from setuptools import find_packages
from setuptools import setup

package_name = 'tool_recognizer'

setup(
    name=package_name,
    version='0.2.0',
    packages=find_packages(include=[package_name, package_name + '.*']),
    package_data={package_name: ['py.typed', 'models/*', 'console/locales/*',
                                 'console/static/*', 'reports/*.css']},
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
        ('share/' + package_name + '/launch', glob('launch/*.launch.py')),
        ('share/' + package_name + '/config', glob('config/*.*')),
        ('share/' + package_name + '/config/sros2', glob('config/sros2/*')),
        ('share/' + package_name + '/deploy', glob('deploy/*')),
    ],
    python_requires='>=3.10',
    install_requires=['setuptools'],
    # colcon finds the tests by this extra; tests_require is no longer read.
    # cluster: replay --scheduler. heic: photographs as telephones write them. people:
    # console.users_file.
    extras_require={'cluster': ['dask[distributed]'],
                    'heic': ['pillow-heif'],
                    'people': ['argon2-cffi'],
                    'test': ['hypothesis', 'onnx', 'pytest', 'scikit-learn']},
    zip_safe=False,
    maintainer='tool_recognizer maintainers',
    maintainer_email='maintainers@tool-recognizer.example',
    description="Recognises the tool in a camera's picture and watches its own accuracy.",
    license='Apache-2.0',
    entry_points={
        'console_scripts': [
            'call = tool_recognizer.__main__:call',
            'camera = tool_recognizer.__main__:camera',
            'collect = tool_recognizer.__main__:collect',
            'console = tool_recognizer.__main__:console',
            'demo = tool_recognizer.__main__:demo',
            'doctor = tool_recognizer.__main__:doctor',
            'evaluate = tool_recognizer.__main__:evaluate',
            'journal = tool_recognizer.__main__:journal',
            'model = tool_recognizer.__main__:model',
            'models = tool_recognizer.__main__:models',
            'recognizer = tool_recognizer.__main__:recognizer',
            'record = tool_recognizer.__main__:record',
            'replay = tool_recognizer.__main__:replay',
            'set = tool_recognizer.__main__:set',
            'status = tool_recognizer.__main__:status',
            'train = tool_recognizer.__main__:train',
        ],
    },
)
